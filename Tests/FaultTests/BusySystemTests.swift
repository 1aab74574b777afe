import SheafCore
import SheafTestSupport
import SheafTestTools
import Testing

/// A RabbitMQ that is disturbed while a creation and workers run, with the real command.
@Suite(.serialized, .timeLimit(.minutes(6))) struct BusySystemTests {
    @Test("Creator and workers go on after the broker was restarted or killed", arguments: [false, true])
    func aRestartedBrokerIsWaitedFor(isKilled: Bool) async throws {
        try await BusySystem.disturbed(workers: 3) { system in
            // Younger queues and logs may not survive a crash of the broker.
            try await Task.sleep(for: .seconds(5))
            if isKilled { try await system.node.kill() } else { try await system.node.shutDown() }
            try await system.node.restart()
            let start = ContinuousClock.now
            let before = try system.begun().count
            try await system.site.bench.until("all workers begin tasks again", limit: .seconds(60)) {
                try Set(system.begun().dropFirst(before).map(\.worker)).count == system.workers
            }
            print(
                "F4 killed: \(isKilled), three workers begin tasks again \(ContinuousClock.now - start) after the start"
            )
        } check: { left in
            let again = left.begun.count - left.rows.count
            print("F4 killed: \(isKilled), \(left.rows.count) tasks, \(again) begun again")
            // A task that a worker held when it lost its connection may have gone to another worker.
            #expect(again <= 3 * 4)
        }
    }

    @Test("Creator and workers wait during an alarm and go on after it", arguments: BrokerAlarm.all)
    func anAlarmIsWaitedFor(_ alarm: BrokerAlarm) async throws {
        try await BusySystem.disturbed(workers: 2) { system in
            let bench = system.site.bench
            try await system.node.rabbitmqctl(alarm.set)
            try await bench.until("all processes report the alarm") {
                try system.creatorSays("waiting up to") && system.workersSay("takes no outcomes for now")
            }
            try await bench.until("the tasks that began have ended") {
                try system.begun().count == system.site.noted("ended").count
            }
            let before = try system.begun().count
            try await Task.sleep(for: .seconds(3))
            let after = try system.begun().count
            #expect(after == before, "no new task begins")
            try await system.node.rabbitmqctl(alarm.clear)
            try await bench.until("all processes go on") {
                try system.creatorSays("accepts messages again") && system.workersSay("takes outcomes again")
                    && system.begun().count > before
            }
            let isSaidOnce = try system.creatorSays("waiting up to") && system.workersSay("takes no outcomes for now")
            #expect(isSaidOnce)
        } check: { left in
            #expect(left.begun.count == left.rows.count, "no task runs twice")
            #expect(left.rows.allSatisfy { $0["attempts"] == 1 })
            print("F6 \(alarm.description): \(left.rows.count) tasks, each begun once")
        }
    }
}
