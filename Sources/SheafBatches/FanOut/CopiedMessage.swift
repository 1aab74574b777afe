import SheafBroker
import SheafCore

/// The messages of the topic of outcomes.
enum CopiedMessage {
    /// The type of a message with one outcome.
    static let outcomeType = "outcome"
    /// The type of the message that reports that a batch has ended.
    static let finishedType = "finished"
    /// The type of the message that reports that a batch was stopped by its error policy or by a loss.
    static let stoppedType = "stopped"

    /// Encodes an outcome; its body is the row that `sheaf results` prints.
    ///
    /// Copies of the same outcome, and outcomes of the same task in the same generation, have the same id.
    static func outcome(_ outcome: Outcome, of batch: BatchInfo) -> TopicMessage {
        var body: [UInt8] = []
        outcome.writeRow(batch: batch.id, to: &body)
        return TopicMessage(
            key: key(batch, outcome.status.rawValue),
            message: Message(
                id: "\(batch.id):\(outcome.index):\(outcome.generation)",
                type: outcomeType,
                contentType: "application/json",
                headers: headers(batch, outcome.generation, status: outcome.status.rawValue) + [
                    .init("sheaf-index", .integer(Int64(outcome.index)))
                ],
                body: body
            )
        )
    }

    /// Encodes the end of a batch that has ended.
    static func finished(_ batch: BatchInfo) -> TopicMessage {
        report(BatchSummary(info: batch, progress: nil), as: finishedType, number: batch.generation)
    }

    /// Encodes that a batch is stopped.
    static func stopped(_ batch: BatchSummary) -> TopicMessage {
        report(batch, as: stoppedType, number: batch.info.continuations)
    }

    private static func report(_ batch: BatchSummary, as type: String, number: Int) -> TopicMessage {
        TopicMessage(
            key: key(batch.info, type),
            message: Message(
                id: "\(batch.info.id):\(type):\(number)",
                type: type,
                contentType: "application/json",
                headers: headers(batch.info, batch.info.generation, status: batch.status.rawValue),
                body: batch.json.bytes
            )
        )
    }

    private static func key(_ batch: BatchInfo, _ event: String) -> String { "\(batch.flow).\(batch.id).\(event)" }

    private static func headers(_ batch: BatchInfo, _ generation: Int, status: String) -> [Message.Header] {
        [
            .init("sheaf-batch", .string(batch.id.text)), .init("sheaf-flow", .string(batch.flow.text)),
            .init("sheaf-generation", .integer(Int64(generation))), .init("sheaf-status", .string(status)),
        ]
    }
}
