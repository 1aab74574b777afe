/// How often a submission is looked at, and how often calls are repeated.
package struct SubmissionPace: Sendable, Equatable {
    /// The longest time between two looks at a submission.
    package var longest: Duration
    /// How often a call is tried until its failure counts.
    package var tries = 5
    /// After how many submissions in a row that left requests without a result those fail.
    package var misses = 5

    package init(longest: Duration) { self.longest = longest }

    /// The time until the first look; each further one is half as long again.
    var first: Duration { min(.seconds(5), longest / 8) }

    /// The times to wait before each look for a submission whose creation is unclear: a list may be late.
    var looks: [Duration] { [.zero, min(.seconds(2), longest / 4), min(.seconds(8), longest / 2)] }

    /// The same if the provider keeps no handle of ours, so that a mistake cannot be noticed: for at least 10 minutes
    /// with the default time between two looks.
    var looksWithoutHandle: [Duration] { looks + Array(repeating: min(.seconds(60), longest), count: 10) }

    /// The time to wait after the given number of failed tries.
    func pause(after tries: Int) -> Duration { min(first * (1 << min(tries, 10)), longest) }
}
