package import SheafCore
package import SheafSources

/// What a user has chosen for a new batch, on a command line or in a request; nil leaves the choice to the flow.
package struct BatchChoices: Sendable, Equatable {
    /// The inputs; if empty, the flow's own source is read.
    package var inputs: [String] = []
    /// How inputs are split into records.
    package var format: SourceFormat?
    /// The field that holds a record's id.
    package var idField: String?
    /// The largest number of records.
    package var maxRecords: Int?
    /// Whether the order of the records is random.
    package var shuffle: Bool?
    /// The seed of the random order.
    package var seed: UInt64?
    /// The parameters, an object.
    package var parameters: JSONValue = [:]
    /// What to do when tasks fail.
    package var errorPolicy: ErrorPolicy?
    /// How many tasks may run at once over all workers.
    package var concurrency: Int?
    /// The id of the batch.
    package var batchID: Name?
    /// Whether one unreadable record keeps the whole batch from being published.
    package var strict: Bool?
    /// Whether tasks may ask questions.
    package var interactive: Bool?
    /// The tags.
    package var tags: [String: String] = [:]
    /// The URLs that are notified when the batch has ended; if empty, those of the flow.
    package var notify: [String] = []
    /// The tasks that run first, before the batch pauses itself.
    package var pilot: Pilot?
    /// Which records are identical, so that only the first of them runs; `.some(nil)` if each record is to run.
    package var deduplication: Deduplication??
    /// How long publishing waits while the broker confirms nothing.
    package var publishTimeout: Duration?

    /// Creates choices that leave everything to the flow.
    package init() {}
}
