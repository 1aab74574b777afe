import Glibc
import SheafBroker
import SheafCore
import SheafEmbedded
import SystemPackage

/// A process that the tests kill, stop, or deprive of disk space.
@main
struct EmbeddedProbe {
    static func main() async throws {
        let arguments = CommandLine.arguments
        guard arguments.count >= 4 else { throw BrokerError(.invalidArgument, "usage: MODE FOLDER QUEUE …") }
        let (mode, folder, queue) = (arguments[1], FilePath(arguments[2]), arguments[3])
        if mode == "full-disk-open" { return try await openOnFullDisk(folder) }
        let machine = arguments.count > 4 && mode == "delayed" ? ProbeMachine.reading(arguments[4]) : .system
        let broker = try await SQLiteBroker.open(directory: folder, machine: machine)
        switch mode {
        case "open": break
        case "hold": try await hold(broker, queue, arguments[4])
        case "publish": try await publish(broker, queue, arguments[4], Int(arguments[5]) ?? 0)
        case "append": try await append(broker, queue, arguments[4])
        case "work": try await work(broker, queue)
        case "delayed": try await receive(broker, queue)
        case "full-disk": try await publishOnFullDisk(broker, queue)
        default: throw BrokerError(.invalidArgument, "unknown mode: \(mode)")
        }
        await broker.close()
    }

    /// Takes all messages and a lock, starts a child that outlives this process, and waits to be killed.
    private static func hold(_ broker: SQLiteBroker, _ queue: String, _ lock: String) async throws {
        let held = try await broker.acquireLock(lock)
        let deliveries = try await broker.consume(queue, prefetch: 100).next() ?? []
        var child: pid_t = 0
        var arguments: [UnsafeMutablePointer<CChar>?] = [strdup("sleep"), strdup("20"), nil]
        posix_spawnp(&child, "sleep", nil, nil, &arguments, nil)
        say("holding \(deliveries.count) \(held != nil) \(child)")
        try await Task.sleep(for: .seconds(600))
    }

    /// Publishes messages with unique names, 20 at a time, and reports the confirmed ones.
    private static func publish(_ broker: SQLiteBroker, _ queue: String, _ name: String, _ count: Int) async throws {
        for start in stride(from: 0, to: count, by: 20) {
            let ids = (start..<min(start + 20, count)).map { "\(name)-\($0)" }
            try await broker.publish(ids.map { Message(id: $0, body: Array($0.utf8)) }, to: queue)
            say(ids.map { "published \($0)" }.joined(separator: "\n"))
        }
    }

    /// Appends pairs of entries indefinitely and reports the confirmed ones.
    private static func append(_ broker: SQLiteBroker, _ log: String, _ name: String) async throws {
        for number in 0... {
            let ids = ["\(name)-\(number)a", "\(name)-\(number)b"]
            try await broker.append(ids.map { Message(id: $0, body: Array($0.utf8)) }, to: log)
            say(ids.map { "appended \($0)" }.joined(separator: "\n"))
        }
    }

    /// Reports received and acknowledged messages until the queue is deleted.
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

    /// Reports that it waits, and then the received messages.
    private static func receive(_ broker: SQLiteBroker, _ queue: String) async throws {
        let consumer = try await broker.consume(queue, prefetch: 10)
        say("waiting")
        while let deliveries = try await consumer.next() { say("got", deliveries) }
    }

    /// Reports an event of messages, with its time by the clock that all processes share.
    private static func say(_ what: String, _ deliveries: [Delivery]) {
        let nanoseconds = ProbeMachine.monotonic()
        say(deliveries.map { "\(what) \($0.message.id) \(nanoseconds)" }.joined(separator: "\n"))
    }

    /// Writes lines in one call, so that killing the process does not leave a partial line.
    static func say(_ lines: String) {
        let bytes = Array("\(lines)\n".utf8)
        _ = write(1, bytes, bytes.count)
    }

    /// Opens a broker while no byte can be written to any file, and again without that limit; reports both results.
    static func openOnFullDisk(_ folder: FilePath) async throws {
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

    /// Publishes until there is no space, checks what still works, frees space and continues with the same broker.
    ///
    /// A limit on the size of this process's files simulates a full disk, since it needs no privileges: SQLite's writes
    /// fail halfway in the same manner, for all its files.
    static func publishOnFullDisk(_ broker: SQLiteBroker, _ queue: String) async throws {
        try await broker.declareLog(LogDeclaration(name: "log"))
        try await broker.append(Message(id: "before"), to: "log")
        let reader = try await broker.read("log", from: .first)
        let consumer = try await broker.consume(queue, prefetch: 1_000_000)
        limitFiles(to: 1 << 20)
        var number = 0
        do {
            while number < 10_000 {
                // Two in one call, so that a partial call would be noticed.
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
        // Messages that cannot be settled now are settled later, as any caller would do.
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

    /// Limits the size of this process's files, or removes the limit.
    private static func limitFiles(to size: Int?) {
        signal(SIGXFSZ, SIG_IGN)
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit)
        limit.rlim_cur = size.map { rlim_t($0) } ?? limit.rlim_max
        setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit)
    }
}

/// The clocks of the probe.
enum ProbeMachine {
    /// Returns the clocks of this machine, with the wall clock shifted by the milliseconds in a file.
    ///
    /// The file is read at each access.
    static func reading(_ path: String) -> MachineClock {
        MachineClock(
            wall: { MachineClock.system.wall() + offset(in: path) },
            uptime: MachineClock.system.uptime,
            boot: MachineClock.system.boot
        )
    }

    /// Returns nanoseconds of a clock that cannot be set and that all processes share.
    static func monotonic() -> Int {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return time.tv_sec * 1_000_000_000 + time.tv_nsec
    }

    private static func offset(in path: String) -> Int64 {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return 0 }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 32)
        let count = read(descriptor, &bytes, bytes.count)
        return Int64(String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)) ?? 0
    }
}
