import AMQPClient
import SheafBroker
import Testing

@testable import SheafRabbitMQ

@Suite struct MappingTests {
    @Test(
        "Delays are rounded up to a step",
        arguments: [
            (Duration.milliseconds(1), "125ms"), (.milliseconds(125), "125ms"), (.milliseconds(126), "250ms"),
            (.milliseconds(800), "1s"), (.seconds(1), "1s"), (.milliseconds(1_001), "2s"), (.seconds(3_600), "4096s"),
        ]
    )
    func delaysAreRoundedUp(delay: Duration, step: String) throws {
        #expect(try DelayStep(for: delay).name == step)
    }

    @Test("Each kind of queue has its own arguments")
    func queueArguments() throws {
        let work = QueueDeclaration(name: "work", kind: .work(deliveryLimit: 3, deadLetter: .queue("dead")))
        #expect(
            try QueueArguments.table(for: work) == [
                "x-queue-type": "quorum", "x-delivery-limit": 3, "x-dead-letter-exchange": "",
                "x-dead-letter-routing-key": "dead", "x-dead-letter-strategy": "at-least-once",
                "x-overflow": "reject-publish",
            ]
        )
        let tokens = QueueDeclaration(name: "tokens", kind: .tokens())
        #expect(try QueueArguments.table(for: tokens) == ["x-queue-type": "classic"])
        let room = QueueDeclaration(name: "room", kind: .waitingRoom(lifetime: .milliseconds(1_500), then: "next"))
        #expect(
            try QueueArguments.table(for: room) == [
                "x-queue-type": "classic", "x-message-ttl": 1_500, "x-dead-letter-exchange": "",
                "x-dead-letter-routing-key": "next",
            ]
        )
    }

    @Test("A bounded log has at least five segments", arguments: [1, 400_000, 100_000_000, 10_000_000_000])
    func aBoundedLogHasFiveSegmentsAtLeast(maximum: Int) throws {
        let table = QueueArguments.table(for: LogDeclaration(name: "log", maximumBytes: maximum))
        let length = try #require(table["x-max-length-bytes"]?.integer)
        let segment = try #require(table["x-stream-max-segment-size-bytes"]?.integer)
        #expect(length >= maximum / 5 * 5)
        #expect(segment >= 4 << 20)
        #expect(segment * 5 <= length)
    }

    @Test(
        "The notes depend on the version",
        arguments: [("3.10.8", "node"), ("3.13.7", "policy"), ("4.0.5", "16 MiB"), ("4.3.0", "ends its consumer")]
    )
    func theNotesFollowTheVersion(version: String, word: String) {
        #expect(ServerRules(version: version).notes.contains { $0.contains(word) })
    }

    @Test("An unknown version format is accepted", arguments: ["", "x", "3", "3.x.1"])
    func unknownVersion(version: String) {
        #expect(!ServerRules(version: version).notes.isEmpty)
    }
}
