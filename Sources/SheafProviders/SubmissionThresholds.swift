/// When a submission starts although more tasks may come.
package struct SubmissionThresholds: Sendable, Equatable {
    /// The number of tasks; nil means the provider's limit.
    package var tasks: Int?
    /// The age of the oldest task, while tasks of its batch are still published.
    package var age = Duration.seconds(2 * 3_600)
    /// How often the age is looked at.
    package var interval = Duration.seconds(600)

    package init() {}
}
