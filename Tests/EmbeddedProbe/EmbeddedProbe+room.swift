import Glibc
import SheafBroker
import SheafCore
import SheafEmbedded
import SystemPackage

extension EmbeddedProbe {
    /// Opens a broker while no byte can be written to any file, and then again with room; says what came of it.
    static func openWithoutRoom(_ folder: FilePath) async throws {
        limitFiles(to: 0)
        var words = "opened"
        do {
            try await SQLiteBroker.open(directory: folder).close()
        } catch let error as BrokerError {
            words = "failed \(error.code) \(error)"
        }
        limitFiles(to: nil)
        say(words)
        try await SQLiteBroker.open(directory: folder).close()
        say("opened")
    }

    /// Publishes until there is no room, looks what still works, makes room and goes on with the same broker.
    ///
    /// A limit on the size of this process's files stands in for a full disk, since it needs no rights: SQLite's writes
    /// fail in the middle just so, and the same way for all its files.
    static func publishWithoutRoom(_ broker: SQLiteBroker, _ queue: String) async throws {
        try await broker.declareLog(LogDeclaration(name: "log"))
        try await broker.append(Message(id: "before"), to: "log")
        let reader = try await broker.read("log", from: .first)
        let consumer = try await broker.consume(queue, prefetch: 1_000_000)
        limitFiles(to: 1 << 20)
        var number = 0
        do {
            while number < 10_000 {
                // Two in one call, so that half of them could be seen.
                let ids = ["m\(number)a", "m\(number)b"]
                try await broker.publish(ids.map { Message(id: $0, body: body) }, to: queue)
                say(ids.map { "published \($0)" }.joined(separator: "\n"))
                number += 1
            }
        } catch let error as BrokerError {
            say("failed \(error.code) \(error.isRetryable) \(error)")
        }
        say("ready \(try await broker.queueStatus(queue)?.ready ?? -1)")
        say("read \(try await reader.next()?.entries.map(\.message.id).joined(separator: ",") ?? "")")
        do {
            try await broker.append(
                Message(id: "full", body: Array(repeating: body, count: 20).flatMap(\.self)),
                to: "log"
            )
        } catch let error as BrokerError {
            say("append \(error.code)")
        }
        var received: [String] = []
        do {
            received += try await receive(from: consumer, on: broker)
        } catch let error as BrokerError {
            say("consume \(error.code)")
        }
        limitFiles(to: nil)
        try await broker.publish(Message(id: "after", body: body), to: queue)
        say("published after")
        try await broker.append(Message(id: "after"), to: "log")
        say("read \(try await reader.next()?.entries.map(\.message.id).joined(separator: ",") ?? "")")
        while received.last != "after" { received += try await receive(from: consumer, on: broker) }
        say(received.map { "got \($0)" }.joined(separator: "\n"))
    }

    private static func receive(from consumer: any QueueConsumer, on broker: SQLiteBroker) async throws -> [String] {
        guard let deliveries = try await consumer.next() else { return [] }
        // What was received and can not be settled for now is settled later, like that of any other caller.
        while true {
            do {
                try await broker.settle(deliveries, as: .acknowledged)
                return deliveries.map(\.message.id)
            } catch let error as BrokerError where error.code == .blocked {
                say("settle \(error.code)")
                limitFiles(to: nil)
            }
        }
    }

    private static var body: [UInt8] { [UInt8](repeating: 1, count: 8_000) }

    /// Sets how large files of this process may become, which it may lift again.
    private static func limitFiles(to size: Int?) {
        signal(SIGXFSZ, SIG_IGN)
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit)
        limit.rlim_cur = size.map { rlim_t($0) } ?? limit.rlim_max
        setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit)
    }
}
