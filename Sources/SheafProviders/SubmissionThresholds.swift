/// When a submission starts although more tasks may come, and when tasks no longer wait for one.
package struct SubmissionThresholds: Sendable, Equatable {
    /// The number of tasks; nil means the provider's limit.
    package var tasks: Int?
    /// The age of the oldest task, while tasks of its batch are still published.
    package var age = Duration.seconds(2 * 3_600)
    /// How often the age is looked at.
    package var interval = Duration.seconds(600)
    /// How many tokens of input the provider accepts in all submissions that have not ended; nil for any number.
    package var tokens: Int?
    /// The age at which a task runs by itself instead; nil if it always waits for a submission.
    package var liveAge: Duration?

    package init() {}
}
