/// The part of an outcome that counting needs.
public struct OutcomeSummary: Sendable, Hashable {
    /// The task's number within its batch.
    public var index: Int
    /// The generation the task was run for.
    public var generation: Int
    /// How it ended.
    public var status: Outcome.Status
    /// Whether it failed because the record could not be read.
    public var isInvalidRecord: Bool
    /// What it took, where it succeeded.
    public var usage: Usage

    /// Makes a summary.
    public init(
        index: Int,
        generation: Int = 0,
        status: Outcome.Status,
        isInvalidRecord: Bool = false,
        usage: Usage = Usage()
    ) {
        self.index = index
        self.generation = generation
        self.status = status
        self.isInvalidRecord = isInvalidRecord
        self.usage = usage
    }

    /// Reads the summary of a line; a line that begins as Sheaf writes it is not read any further.
    init(line: UnsafeBufferPointer<UInt8>) throws(UnreadableMessage) {
        if let quick = Self.quick(line) {
            self = quick
            return
        }
        self = try Outcome(line: Array(line)).summary
    }

    private static let indexKey = Array("{\"index\":".utf8)
    private static let generationKey = Array(",\"generation\":".utf8)
    private static let succeeded = Array(",\"status\":\"succeeded\",".utf8)
    private static let usageKey = Array("\"usage\":{\"".utf8)

    private static let (colon, nextName, end) = (Array("\":".utf8), Array(",\"".utf8), Array("},".utf8))

    /// Whether a byte of a name stands for itself.
    private static func isPlain(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: "_") || byte | 0x20 >= UInt8(ascii: "a") && byte | 0x20 <= UInt8(ascii: "z")
    }

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
            while position < line.count, line[position] &- 0x30 < 10, position - start < 16 {
                value = value * 10 + Int(line[position] - 0x30)
                position += 1
            }
            return position > start ? value : nil
        }
        guard take(indexKey), let index = number(), index < BatchState.maximumTasks, take(generationKey),
            let generation = number(), take(succeeded), line.last == UInt8(ascii: "}")
        else { return nil }
        guard take(usageKey) else { return OutcomeSummary(index: index, generation: generation, status: .succeeded) }
        var usage = Usage()
        while true {
            let start = position
            while position < line.count, isPlain(line[position]) { position += 1 }
            let name = String(decoding: line[start..<position], as: UTF8.self)
            guard take(colon), usage.amounts[name] == nil, let amount = number() else { return nil }
            usage.add(amount, to: name)
            if take(nextName) { continue }
            guard take(end) else { return nil }
            return OutcomeSummary(index: index, generation: generation, status: .succeeded, usage: usage)
        }
    }
}

extension Outcome {
    /// The part of the outcome that counting needs.
    public var summary: OutcomeSummary {
        OutcomeSummary(
            index: index,
            generation: generation,
            status: status,
            isInvalidRecord: error?.type == Failure.invalidRecord,
            usage: status == .succeeded ? usage : Usage()
        )
    }
}
