extension BatchState {
    /// How a task stands in the generation it is of now.
    public enum Standing: Sendable, Hashable {
        /// Without an outcome.
        case open
        /// Ended with an output.
        case succeeded
        /// Ended with an error.
        case failed
        /// Failed because its record could not be read.
        case invalid
    }

    /// How the task of that index stands.
    public func standing(of index: Int) -> Standing {
        switch (low.contains(index), high.contains(index)) {
        case (false, false): .open
        case (true, false): .succeeded
        case (false, true): .failed
        case (true, true): .invalid
        }
    }
}
