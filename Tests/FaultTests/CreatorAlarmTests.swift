import SheafCore
import SheafTestTools
import Testing

/// `create` while RabbitMQ has a memory alarm, on a node of its own.
@Suite(.serialized, .timeLimit(.minutes(5))) struct CreatorAlarmTests {
    /// Sets an alarm during a creation whose input arrives line by line, and checks how the creation ends.
    private func withAlarm(
        lasting isLasting: Bool,
        _ check: (Workbench, Workbench.Run) async throws -> Void
    ) async throws {
        try await RabbitMQNode.with { node in
            try await Workbench.with(configuration: "", environment: ["SHEAF_BROKER": node.url]) { bench in
                // The first records are published; those read after the file "go" exists meet the alarm.
                let feed = "seq 100; until [ -e go ]; do sleep 0.05; done; seq 101 5000"
                let create =
                    "$SHEAF create echo - --no-shuffle --batch-id b1 --publish-timeout \(isLasting ? 8 : 60)s 2> talk"
                let run = try await bench.shell("set -o pipefail; { \(feed); } | \(create)", limit: .seconds(120)) {
                    _ in
                    try await bench.until("the batch exists") {
                        try await bench.sheaf("status", "b1", "--json").code == 0
                    }
                    try await node.rabbitmqctl("set_vm_memory_high_watermark", "0.0000001")
                    try bench.write("", to: "go")
                    try await bench.until("the alarm is reported") {
                        try bench.lines(of: "talk").contains { $0.contains("alarm") }
                    }
                    if !isLasting { try await node.rabbitmqctl("set_vm_memory_high_watermark", "0.4") }
                }
                if isLasting { try await node.rabbitmqctl("set_vm_memory_high_watermark", "0.4") }
                try await check(bench, run)
            }
        }
    }

    @Test("A creation waits for an alarm that passes")
    func anAlarmThatPassesIsWaitedFor() async throws {
        try await withAlarm(lasting: false) { bench, run in
            let talk = try bench.lines(of: "talk")
            #expect(run.code == 0 && run.output == "b1\n", "\(talk)")
            #expect(talk.count { $0.contains("waiting up to") } == 1, "\(talk)")
            #expect(talk.contains { $0.contains("accepts messages again") })
            #expect(try await bench.sheaf("status", "b1", "--json").json["total"]?.intValue == 5000)
        }
    }

    @Test("An alarm that lasts ends the creation with code 75 and a batch that can be resumed")
    func anAlarmThatStaysEndsInAResumableBatch() async throws {
        try await withAlarm(lasting: true) { bench, run in
            let talk = try bench.lines(of: "talk")
            #expect(run.code == 75, "\(talk)")
            #expect(talk.count { $0.contains("waiting up to") } == 1, "\(talk)")
            #expect(talk.contains { $0.contains("sheaf create --resume b1 -") }, "\(talk)")
            let resumed = try await bench.shell("seq 5000 | $SHEAF create --resume b1 - --json")
            #expect(resumed.code == 0, "\(resumed.talk)")
            #expect(try resumed.json["total"]?.intValue == 5000)
        }
    }

    @Test("A creation that starts during an alarm leaves no batch")
    func nothingIsMadeWhereTheAlarmCameFirst() async throws {
        try await RabbitMQNode.with { node in
            try await Workbench.with(configuration: "", environment: ["SHEAF_BROKER": node.url]) { bench in
                try await bench.sheaf("list")
                try await node.rabbitmqctl("set_vm_memory_high_watermark", "0.0000001")
                let start = ContinuousClock.now
                let run = try await bench.sheaf("create", "echo", "-", "--publish-timeout", "5s", input: "a\n")
                let time = ContinuousClock.now - start
                try await node.rabbitmqctl("set_vm_memory_high_watermark", "0.4")
                #expect(run.code == 75 && run.output.isEmpty, "\(run.talk)")
                #expect(run.talk.contains("alarm") && time < .seconds(20), "\(time): \(run.talk)")
                let queues = try await node.rabbitmqctl("list_queues", "name")
                #expect(!queues.contains("sheaf.tasks.") && !queues.contains("sheaf.results."), "\(queues)")
                #expect(try await bench.sheaf("list", "--json").output == "[]\n")
            }
        }
    }
}
