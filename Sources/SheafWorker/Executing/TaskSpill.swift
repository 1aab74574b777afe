import SheafCore
import SheafFlows
import Synchronization

/// The messages of tasks that wait for a provider, in a temporary file: a bulk may have tens of thousands.
final class TaskSpill: Sendable {
    fileprivate let file: SpoolFile
    private let end = Mutex<Int64>(0)

    init() throws(FlowError) { file = try SpoolFile() }

    /// Writes messages to the file.
    func add(_ messages: [Message]) throws(FlowError) -> [SpilledMessage] {
        var (bytes, sizes): ([UInt8], [Int]) = ([], [])
        for message in messages {
            let encoded = message.encoded
            bytes += encoded
            sizes.append(encoded.count)
        }
        let count = Int64(bytes.count)
        var offset = end.withLock { end in
            defer { end += count }
            return end
        }
        try file.write(bytes, at: offset)
        return sizes.map { size in
            defer { offset += Int64(size) }
            return SpilledMessage(spill: self, offset: offset, size: Int32(size))
        }
    }
}

/// A message in a temporary file.
struct SpilledMessage: Sendable {
    fileprivate let spill: TaskSpill
    fileprivate let offset: Int64
    fileprivate let size: Int32

    /// Reads the message.
    func load() throws(FlowError) -> Message {
        let bytes = try spill.file.read(Int(size), at: offset)
        do {
            return try Message(encoded: bytes)
        } catch {
            throw FlowError(type: "spool", message: "a temporary file has changed: \(error)", isRetryable: true)
        }
    }
}
