import Glibc
import SheafBroker
import SheafCore
import SheafEmbedded
import SystemPackage

/// A process for the tests to kill, to stop, and to take its room away.
@main
struct EmbeddedProbe {
    static func main() async throws {
        let arguments = CommandLine.arguments
        guard arguments.count >= 4 else { throw BrokerError(.invalidArgument, "usage: MODE FOLDER QUEUE …") }
        let (mode, folder, queue) = (arguments[1], FilePath(arguments[2]), arguments[3])
        if mode == "unroomy-open" { return try await openWithoutRoom(folder) }
        let machine = arguments.count > 4 && mode == "delayed" ? ProbeMachine.reading(arguments[4]) : .system
        let broker = try await SQLiteBroker.open(directory: folder, machine: machine)
        switch mode {
        case "open": break
        case "hold": try await hold(broker, queue, arguments[4])
        case "publish": try await publish(broker, queue, arguments[4], Int(arguments[5]) ?? 0)
        case "append": try await append(broker, queue, arguments[4])
        case "work": try await work(broker, queue)
        case "delayed": try await receive(broker, queue)
        case "unroomy": try await publishWithoutRoom(broker, queue)
        default: throw BrokerError(.invalidArgument, "no such mode: \(mode)")
        }
        await broker.close()
    }

    /// Takes everything there is and a lock, starts a child that outlives this process, and waits to be killed.
    private static func hold(_ broker: SQLiteBroker, _ queue: String, _ lock: String) async throws {
        let held = try await broker.acquireLock(lock)
        let deliveries = try await broker.consume(queue, prefetch: 100).next() ?? []
        var child: pid_t = 0
        var arguments: [UnsafeMutablePointer<CChar>?] = [strdup("sleep"), strdup("20"), nil]
        posix_spawnp(&child, "sleep", nil, nil, &arguments, nil)
        say("holding \(deliveries.count) \(held != nil) \(child)")
        try await Task.sleep(for: .seconds(600))
    }

    /// Publishes messages with names of its own, 20 at a time, and says which are confirmed.
    private static func publish(_ broker: SQLiteBroker, _ queue: String, _ name: String, _ count: Int) async throws {
        for start in stride(from: 0, to: count, by: 20) {
            let ids = (start..<min(start + 20, count)).map { "\(name)-\($0)" }
            try await broker.publish(ids.map { Message(id: $0, body: Array($0.utf8)) }, to: queue)
            say(ids.map { "published \($0)" }.joined(separator: "\n"))
        }
    }

    /// Appends pairs of entries for ever and says which are confirmed.
    private static func append(_ broker: SQLiteBroker, _ log: String, _ name: String) async throws {
        for number in 0... {
            let ids = ["\(name)-\(number)a", "\(name)-\(number)b"]
            try await broker.append(ids.map { Message(id: $0, body: Array($0.utf8)) }, to: log)
            say(ids.map { "appended \($0)" }.joined(separator: "\n"))
        }
    }

    /// Says what it gets and what is acknowledged, until the queue is deleted.
    private static func work(_ broker: SQLiteBroker, _ queue: String) async throws {
        do {
            let consumer = try await broker.consume(queue, prefetch: 50)
            while let deliveries = try await consumer.next() {
                say("got", deliveries)
                try await broker.settle(deliveries, as: .acknowledged)
                say("acknowledged", deliveries)
            }
        } catch let error as BrokerError where error.code == .queueGone || error.code == .notFound {}
    }

    /// Says that it waits, and then what it gets.
    private static func receive(_ broker: SQLiteBroker, _ queue: String) async throws {
        let consumer = try await broker.consume(queue, prefetch: 10)
        say("waiting")
        while let deliveries = try await consumer.next() { say("got", deliveries) }
    }

    /// Says what happened to messages, and when by the clock that all processes share.
    private static func say(_ what: String, _ deliveries: [Delivery]) {
        let nanoseconds = ProbeMachine.monotonic()
        say(deliveries.map { "\(what) \($0.message.id) \(nanoseconds)" }.joined(separator: "\n"))
    }

    /// Writes lines in one call, so that being killed leaves no half of them.
    static func say(_ lines: String) {
        let bytes = Array("\(lines)\n".utf8)
        _ = write(1, bytes, bytes.count)
    }
}
