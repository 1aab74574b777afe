import ArgumentParser
import SheafSettings

/// A length of time as people write it: `90` (seconds), `250ms`, `60s`, `5m`, `2h`, `1d`.
struct TimeSpan: ExpressibleByArgument, Sendable, Equatable {
    /// The time.
    let duration: Duration

    init?(argument: String) {
        guard let duration = DurationText.parse(argument) ?? DurationText.parse(argument + "s") else { return nil }
        self.duration = duration
    }
}
