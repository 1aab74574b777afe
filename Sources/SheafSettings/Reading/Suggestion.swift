/// Finds what somebody may have meant.
enum Suggestion {
    /// The candidate that is nearest to a word, if any is near: as an addition to a message.
    static func text(for word: String, among candidates: [String]) -> String {
        let limit = max(1, min(3, word.count / 3))
        // The distance is never less than the difference in length, so long texts need no comparing.
        let near = candidates.filter { abs($0.count - word.count) <= limit }.map {
            (candidate: $0, distance: distance(word.lowercased(), $0.lowercased()))
        }
        .filter { $0.distance <= limit }
        .min { $0.distance < $1.distance }
        return near.map { "; did you mean '\($0.candidate)'?" } ?? ""
    }

    /// How many letters have to be added, taken away, replaced or swapped with their neighbour.
    static func distance(_ left: String, _ right: String) -> Int {
        let left = Array(left)
        let right = Array(right)
        var rows = [Array(0...right.count)]
        for (row, letter) in left.enumerated() {
            var next = [row + 1]
            for (column, other) in right.enumerated() {
                var best = min(
                    rows[row][column] + (letter == other ? 0 : 1),
                    rows[row][column + 1] + 1,
                    next[column] + 1
                )
                if row > 0, column > 0, letter == right[column - 1], left[row - 1] == other {
                    best = min(best, rows[row - 1][column - 1] + 1)
                }
                next.append(best)
            }
            rows.append(next)
        }
        return rows[left.count][right.count]
    }
}
