/// The tasks of a batch that run first: once they have ended, the batch pauses itself.
public struct Pilot: Sendable, Hashable {
    /// The number of tasks: the first ones in the order of publishing.
    public var tasks: Int
    /// The percentage of them that must succeed for the batch to go on by itself; nil if it always pauses.
    public var pass: Double?

    /// The range of ``tasks``; the results log names each of them.
    package static let sizes = 1...100_000

    /// Creates a pilot.
    public init(tasks: Int, pass: Double? = nil) {
        self.tasks = tasks
        self.pass = pass
    }

    /// Whether so many successes let the batch go on by itself.
    package func isPassed(succeeded: Int) -> Bool {
        pass.map { Double(succeeded) * 100 >= $0 * Double(tasks) } ?? false
    }

    /// Parses a percentage such as `95%`; returns nil for anything else.
    package static func percentage(_ text: String) -> Double? {
        guard text.last == "%", let percent = Double(text.dropLast()), percent >= 0, percent <= 100 else { return nil }
        return percent
    }

    /// The accepted form of a percentage, for error messages.
    package static let passRule = "a percentage from 0% to 100%, such as 95%"

    /// The percentage in the form that ``percentage(_:)`` parses; nil if there is none.
    package var passText: String? {
        pass.map { $0 == $0.rounded() ? "\(Int($0))%" : "\($0)%" }
    }

    /// Returns what is wrong with the pilot, or nil if it is valid.
    package var problem: String? {
        if !Self.sizes.contains(tasks) {
            return "a pilot of \(tasks) tasks is out of range: it must have from 1 to \(Self.sizes.upperBound)"
        }
        if let pass, !(0...100).contains(pass) { return "the pilot's pass must be \(Self.passRule)" }
        return nil
    }

    /// How a pilot ended.
    public struct Result: Sendable, Equatable {
        /// The number of its tasks.
        public var tasks: Int
        /// How many of them succeeded.
        public var succeeded: Int
        /// How many of them failed, including those whose record could not be read.
        public var failed: Int
        /// What the tasks that succeeded used.
        public var usage: Usage
        /// Whether so many succeeded that the batch went on by itself.
        public var isPassed: Bool

        package init(tasks: Int, succeeded: Int, failed: Int, usage: Usage = Usage(), isPassed: Bool = false) {
            self.tasks = tasks
            self.succeeded = succeeded
            self.failed = failed
            self.usage = usage
            self.isPassed = isPassed
        }

        /// The part of its tasks that failed, from 0 to 1.
        public var failureRate: Double { tasks > 0 ? Double(failed) / Double(tasks) : 0 }

        /// How many of a number of tasks fail at the same rate, rounded to the nearest.
        public func projectedFailures(of total: Int) -> Int { Self.scaled(failed, by: total, of: tasks) }

        /// What a number of tasks use at the same rate.
        public func projectedUsage(of total: Int) -> Usage {
            var projected = Usage()
            for (name, amount) in usage.sorted { projected.add(Self.scaled(amount, by: total, of: tasks), to: name) }
            return projected
        }

        private static func scaled(_ amount: Int, by total: Int, of tasks: Int) -> Int {
            guard tasks > 0 else { return 0 }
            let product = (Double(amount) * Double(total) / Double(tasks)).rounded()
            return Int(min(product, Double(Usage.maximumAmount)))
        }
    }
}
