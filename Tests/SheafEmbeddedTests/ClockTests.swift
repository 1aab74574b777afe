import Foundation
import SheafBroker
import SheafCore
import Synchronization
import Testing

@testable import SheafEmbedded

@Suite("Setting the wall clock does not affect delays, leases and logs")
struct ClockTests {
    private static let hour = Duration.seconds(3_600)

    private func open(_ folder: TemporaryFolder, _ machine: TestMachine) async throws -> SQLiteBroker {
        let broker = try await SQLiteBroker.open(directory: folder.broker, machine: machine.clock)
        try await broker.declareQueue(QueueDeclaration(name: "q", kind: .work(deliveryLimit: 3, acceptsDelayed: true)))
        try await broker.declareLog(LogDeclaration(name: "log"))
        return broker
    }

    @Test(
        "A waiting consumer receives a delayed message on time",
        .timeLimit(.minutes(1)),
        arguments: [hour, hour * -1]
    )
    func delay(jump: Duration) async throws {
        let (folder, machine) = (try TemporaryFolder(), TestMachine())
        let (publisher, worker) = (try await open(folder, machine), try await open(folder, machine))
        let consumer = try await worker.consume("q", prefetch: 1)
        async let deliveries = consumer.next()
        let start = ContinuousClock.now
        try await publisher.publish(Message(id: "later"), to: "q", after: .seconds(2))
        machine.setWall(by: jump)
        // A broker opened now has never seen the original clock.
        let late = try await open(folder, machine)
        let ready = try await late.queueStatus("q")?.ready
        #expect(ready == 0 || ContinuousClock.now - start >= .seconds(2), "the message is ready too early")
        #expect(try #require(try await deliveries).map(\.message.id) == ["later"])
        let waited = ContinuousClock.now - start
        // The extra delay depends on the load of the machine, but it is not an hour.
        #expect(waited >= .seconds(2) && waited < .seconds(20), "arrived after \(waited)")
        for broker in [publisher, worker, late] { await broker.close() }
    }

    @Test("A delay is kept across processes", .timeLimit(.minutes(1)), arguments: [3_600_000, -3_600_000])
    func processes(jump: Int) async throws {
        let folder = try TemporaryFolder()
        let broker = try await SQLiteBroker.open(directory: folder.broker)
        try await broker.declareQueue(QueueDeclaration(name: "q", kind: .work(deliveryLimit: 3, acceptsDelayed: true)))
        let file = "\(folder.path)/offset"
        let before = try Probe("delayed", folder, "q", file)
        try await eventually("the probe waits") { before.lines == ["waiting"] }
        let start = ProbeTime.now
        for number in 0..<2 { try await broker.publish(Message(id: "\(number)"), to: "q", after: .seconds(1)) }
        try "\(jump)".write(toFile: file, atomically: true, encoding: .utf8)
        let after = try Probe("delayed", folder, "q", file)
        try await eventually("the messages arrive") {
            before.messages("got").count + after.messages("got").count == 2
        }
        for (id, time) in before.messages("got") + after.messages("got") {
            #expect(time - start >= 1_000_000_000, "\(id) arrived after \(time - start) ns")
        }
        // The delay is not an hour, and not much longer on a busy machine either: `eventually` allowed 20 s.
        #expect(try await broker.queueStatus("q")?.ready == 0)
        await broker.close()
    }

    @Test("Leases and locks end with their holder, not with time", .timeLimit(.minutes(1)))
    func leases() async throws {
        let (folder, machine) = (try TemporaryFolder(), TestMachine())
        let (holder, other) = (try await open(folder, machine), try await open(folder, machine))
        try await holder.publish(Message(id: "held"), to: "q")
        let delivery = try #require(try await holder.get("q"))
        let lock = try #require(try await holder.acquireLock("lock"))
        for jump in [Self.hour, Self.hour * -2, Self.hour] {
            machine.setWall(by: jump)
            // Enough time for one check for dead sessions.
            try await Task.sleep(for: .milliseconds(400))
            #expect(try await other.get("q") == nil)
            #expect(try await other.isLocked("lock"))
            #expect(await lock.isHeld)
        }
        try await holder.settle([delivery], as: .acknowledged)
        #expect(try await other.queueStatus("q")?.ready == 0)
        await holder.close()
        #expect(try await !other.isLocked("lock"))
        await other.close()
    }

    @Test(
        "Reading a log since a time returns the entries after that time",
        .timeLimit(.minutes(1)),
        arguments: [hour, hour * -1]
    )
    func since(jump: Duration) async throws {
        let (folder, machine) = (try TemporaryFolder(), TestMachine())
        let broker = try await open(folder, machine)
        for number in 0..<10 {
            try await broker.append(Message(id: "\(number)"), to: "log")
            if number == 5 { machine.setWall(by: jump) }
            machine.pass(.seconds(60))
        }
        for (minutes, first) in [(11, "0"), (5, "5"), (2, "8")] {
            let reader = try await broker.read("log", from: .since(.seconds(60 * minutes + 5)))
            #expect(try await reader.next()?.entries.first?.message.id == first, "\(minutes) minutes")
        }
        await broker.close()
    }

    @Test("An entry has the same time for all readers until the wall clock is set", .timeLimit(.minutes(1)))
    func sameTimes() async throws {
        let (folder, machine) = (try TemporaryFolder(), TestMachine())
        // The difference between two clocks that are read one after the other varies.
        let wall = machine.clock.wall
        let reads = Atomic(0)
        let set = Atomic(0)
        let uneven = MachineClock(
            wall: { wall() + Int64(reads.add(1, ordering: .relaxed).newValue % 3 + set.load(ordering: .relaxed)) },
            uptime: machine.clock.uptime,
            boot: machine.clock.boot
        )
        func times() async throws -> [Timestamp] {
            let broker = try await SQLiteBroker.open(directory: folder.broker, machine: uneven)
            try await broker.declareLog(LogDeclaration(name: "log"))
            try await broker.append(Message(id: "entry"), to: "log")
            let chunk = try #require(try await broker.read("log", from: .first).next())
            await broker.close()
            return try chunk.entries.map { try #require($0.time) }
        }
        var known: [Timestamp] = []
        for _ in 0..<20 {
            let seen = try await times()
            #expect(Array(seen.dropLast()) == known)
            known = seen
        }
        set.store(3_600_000, ordering: .relaxed)
        let later = try await times()
        let steps = zip(later, known).map { $0.milliseconds - $1.milliseconds }
        #expect(steps.allSatisfy { abs($0 - 3_600_000) < 1_000 }, "\(steps)")
    }

    @Test("After a reboot a delay continues by the wall clock", .timeLimit(.minutes(1)))
    func restart() async throws {
        let (folder, machine) = (try TemporaryFolder(), TestMachine())
        let before = try await open(folder, machine)
        machine.setWall(by: Self.hour)
        for minutes in [5, 20] {
            try await before.publish(Message(id: "\(minutes)"), to: "q", after: .seconds(60 * minutes))
        }
        await before.close()
        machine.restart(after: .seconds(600))
        let after = try await open(folder, machine)
        #expect(try await after.get("q")?.message.id == "5")
        #expect(try await after.get("q") == nil)
        machine.pass(.seconds(590))
        #expect(try await after.get("q") == nil)
        machine.pass(.seconds(15))
        #expect(try await after.get("q")?.message.id == "20")
        await after.close()
    }

    @Test("Setting the wall clock back while the machine is off does not extend a delay", .timeLimit(.minutes(1)))
    func setBackWhileOff() async throws {
        let (folder, machine) = (try TemporaryFolder(), TestMachine())
        let before = try await open(folder, machine)
        // This time is old for the file, which stores the time at least with each delayed message.
        try await before.append(Message(id: "old"), to: "log")
        machine.pass(.seconds(300))
        try await before.publish(Message(id: "later"), to: "q", after: .seconds(60))
        await before.close()
        machine.restart(after: Self.hour * -1)
        let after = try await open(folder, machine)
        #expect(try await after.get("q") == nil)
        machine.pass(.seconds(61))
        #expect(try await after.get("q")?.message.id == "later")
        try await after.append(Message(id: "new"), to: "log")
        let reader = try await after.read("log", from: .since(.seconds(5)))
        #expect(try await reader.next()?.entries.map(\.message.id) == ["new"])
        await after.close()
    }

    @Test("A machine without a boot ID counts as rebooted", .timeLimit(.minutes(1)))
    func withoutBootID() async throws {
        let (folder, machine) = (try TemporaryFolder(), TestMachine())
        let nameless = MachineClock(wall: machine.clock.wall, uptime: machine.clock.uptime, boot: nil)
        for expected in [nil, "later"] {
            let broker = try await SQLiteBroker.open(directory: folder.broker, machine: nameless)
            try await broker.declareQueue(
                QueueDeclaration(name: "q", kind: .work(deliveryLimit: 3, acceptsDelayed: true))
            )
            if expected == nil { try await broker.publish(Message(id: "later"), to: "q", after: .seconds(60)) }
            #expect(try await broker.get("q")?.message.id == expected)
            await broker.close()
            machine.pass(.seconds(61))
        }
    }

    @Test("A file of version 1 keeps its times", .timeLimit(.minutes(1)))
    func firstVersion() async throws {
        let (folder, machine) = (try TemporaryFolder(), TestMachine())
        let old = try await open(folder, machine)
        try await old.append(Message(id: "entry"), to: "log")
        try await old.publish(Message(id: "later"), to: "q", after: .seconds(60))
        // Like version 1: without a table and a column, and with times by the wall clock.
        let wall = machine.clock.wall()
        try await old.writer.perform { transaction in
            try transaction.run("UPDATE delayed SET due = ?", wall + 60_000)
            try transaction.run("UPDATE entry SET time = ?", wall)
            try transaction.run("DROP TABLE clock")
            try transaction.run("ALTER TABLE queue DROP COLUMN lifetime")
            try transaction.run("PRAGMA user_version = 1")
        }
        await old.close()
        let new = try await open(folder, machine)
        machine.setWall(by: Self.hour)
        #expect(try await new.get("q") == nil)
        machine.pass(.seconds(61))
        #expect(try await new.get("q")?.message.id == "later")
        let reader = try await new.read("log", from: .since(.seconds(120)))
        #expect(try await reader.next()?.entries.map(\.message.id) == ["entry"])
        await new.close()
    }
}
