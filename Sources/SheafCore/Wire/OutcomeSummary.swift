/// The part of an outcome that counting needs.
public struct OutcomeSummary: Sendable, Hashable {
    /// The task's number within its batch.
    public var index: Int
    /// The generation the task was run for.
    public var redo: Int
    /// How it ended.
    public var status: Outcome.Status
    /// Whether it failed because the record could not be read.
    public var isInvalidRecord: Bool

    /// Makes a summary.
    public init(index: Int, redo: Int = 0, status: Outcome.Status, isInvalidRecord: Bool = false) {
        self.index = index
        self.redo = redo
        self.status = status
        self.isInvalidRecord = isInvalidRecord
    }

    /// Reads the summary of a line; a line that begins as Sheaf writes it is not read any further.
    init(line: UnsafeBufferPointer<UInt8>) throws(UnreadableMessage) {
        if let quick = Self.quick(line) {
            self = quick
            return
        }
        let outcome = try Outcome(line: Array(line))
        self.init(
            index: outcome.index,
            redo: outcome.redo,
            status: outcome.status,
            isInvalidRecord: outcome.error?.type == Outcome.Failure.invalidRecord
        )
    }

    private static let indexKey = Array("{\"index\":".utf8)
    private static let redoKey = Array(",\"redo\":".utf8)
    private static let succeeded = Array(",\"status\":\"succeeded\",".utf8)

    /// Most outcomes are successes written by Sheaf itself; all others take the long way.
    private static func quick(_ line: UnsafeBufferPointer<UInt8>) -> OutcomeSummary? {
        var position = 0
        func take(_ word: [UInt8]) -> Bool {
            guard position + word.count <= line.count, line[position..<position + word.count].elementsEqual(word) else {
                return false
            }
            position += word.count
            return true
        }
        func number() -> Int? {
            let start = position
            var value = 0
            while position < line.count, line[position] &- 0x30 < 10, position - start < 10 {
                value = value * 10 + Int(line[position] - 0x30)
                position += 1
            }
            return position > start ? value : nil
        }
        guard take(indexKey), let index = number(), index < BatchState.maximumTasks, take(redoKey),
            let redo = number(), take(succeeded), line.last == UInt8(ascii: "}")
        else { return nil }
        return OutcomeSummary(index: index, redo: redo, status: .succeeded)
    }
}

extension Outcome {
    /// The part of the outcome that counting needs.
    public var summary: OutcomeSummary {
        OutcomeSummary(
            index: index,
            redo: redo,
            status: status,
            isInvalidRecord: error?.type == Failure.invalidRecord
        )
    }
}
