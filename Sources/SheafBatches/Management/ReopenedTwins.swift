import SheafCore

/// What a retry of some tasks publishes and opens, if tasks get the outcome of others.
///
/// A task and its twins are opened together, whichever of them was chosen, and only the task itself is published.
struct ReopenedTwins {
    /// The tasks to publish.
    let published: IndexRanges
    /// Twins that have failed although their first has not: an earlier release has retried the first alone.
    private let followers: [Int]
    private let results: FoldedResults

    init(_ chosen: IndexRanges, _ results: FoldedResults) {
        self.results = results
        guard results.twins.count > 0 else {
            (published, followers) = (chosen, [])
            return
        }
        var published: Set<Int> = []
        var followers: [Int] = []
        for index in chosen.indices {
            if let first = results.twins.first(of: index) {
                // An open twin ends with its first.
                guard results.state.standing(of: index) != .open else { continue }
                if results.state.standing(of: first) == .failed {
                    published.insert(first)
                } else {
                    followers.append(index)
                }
            } else {
                published.insert(index)
            }
        }
        (self.published, self.followers) = (IndexRanges(rising: published.sorted()), followers)
    }

    var isEmpty: Bool { published.isEmpty && followers.isEmpty }

    /// Returns the tasks to open if those were published.
    func opened(publishing tasks: IndexRanges) -> IndexRanges {
        guard results.twins.count > 0 else { return tasks }
        var opened = Set(followers)
        for index in tasks.indices {
            opened.insert(index)
            for twin in results.twins.twins(of: index) where results.state.standing(of: twin) != .succeeded {
                opened.insert(twin)
            }
        }
        return IndexRanges(rising: opened.sorted())
    }
}
