import Foundation
import SheafCore
import SheafTestSupport
import SheafTestTools
import Testing

extension Integration {
    /// Workers whose RabbitMQ is restarted, blocks publishing for a while, or takes deliveries back.
    @Suite struct BrokerFaultTests {
        @Test("A broker that is killed and restarted loses no running task")
        func aRestartLosesNoRunningTask() async throws {
            try await RabbitMQNode.with { node in
                try await Site.with(node) { site in
                    try await site.create("sleeper", "-", input: String(repeating: "3\n", count: 8))
                    // Younger queues and logs may not survive a crash of the broker.
                    try await Task.sleep(for: .seconds(5))
                    let run = try await site.sheaf("run", "-c", "4", "--until-empty") { _ in
                        try await site.bench.until("tasks run") { try site.noted("begun").count == 4 }
                        try await node.kill()
                        try await node.restart()
                    }
                    #expect(run.code == 0, "\(run.talk)")
                    try await site.complete(BatchCounts(succeeded: 8))
                    #expect(
                        try site.noted("begun").sorted() == Array(0..<8),
                        "no task runs twice"
                    )
                }
            }
        }

        @Test("During a memory alarm no new task starts")
        func anAlarmHoldsNewTasksBack() async throws {
            try await RabbitMQNode.with { node in
                try await Site.with(node) { site in
                    // Enough tasks to outlast the time in which the alarm is set.
                    let total = 160
                    try await site.create("sleeper", "-", input: String(repeating: "0.5\n", count: total))
                    let arguments = ["run", "-c", "4", "--until-empty"]
                    let run = try await site.bench.sheaf(arguments, limit: .seconds(110)) { _ in
                        try await site.bench.until("some tasks have ended") { try site.noted("ended").count >= 4 }
                        try await node.rabbitmqctl("set_vm_memory_high_watermark", "0.0000001")
                        var before = -1
                        try await site.bench.until("no new task starts") {
                            let (begun, ended) = (try site.noted("begun").count, try site.noted("ended").count)
                            defer { before = begun }
                            try await Task.sleep(for: .seconds(2))
                            return begun == ended && begun == before
                        }
                        #expect(try site.noted("begun").count < total)
                        try await node.rabbitmqctl("set_vm_memory_high_watermark", "0.4")
                    }
                    #expect(run.code == 0, "\(run.talk)")
                    #expect(run.talk.components(separatedBy: "takes no outcomes for now").count == 2, "\(run.talk)")
                    #expect(run.talk.components(separatedBy: "takes outcomes again").count == 2, "\(run.talk)")
                    try await site.complete(BatchCounts(succeeded: total))
                    #expect(try site.noted("begun").sorted() == Array(0..<total), "no task that had ended runs again")
                }
            }
        }

        @Test(
            "A task longer than the acknowledgement time-out runs once and has one outcome",
            arguments: [true, false]
        )
        func aTaskLongerThanTheTimeOutHasOneOutcome(isTold: Bool) async throws {
            let impatient = ["consumer_timeout=3000", "channel_tick_interval=500"]
            try await RabbitMQNode.with(settings: impatient) { node in
                try await Site.with(node) { site in
                    try await site.create("sleeper", "-", input: "8\n")
                    let setting = isTold ? "3s" : "30m"
                    let run = try await site.sheaf("run", "--until-empty", "--acknowledgement-timeout", setting)
                    #expect(run.code == 0, "\(run.talk)")
                    let rows = try await site.complete(BatchCounts(succeeded: 1))
                    if isTold {
                        #expect(rows.map { $0["attempts"] } == [1])
                        #expect(!run.talk.contains("consumes again"), "\(run.talk)")
                    } else {
                        #expect(run.talk.contains("consumes again"), "the channel was closed: \(run.talk)")
                    }
                    #expect(try site.noted("begun") == [0], "it ran once")
                }
            }
        }
    }
}
