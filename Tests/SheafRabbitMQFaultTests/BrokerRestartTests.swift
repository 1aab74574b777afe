import SheafBroker
import SheafRabbitMQ
import SheafTestTools
import Testing

/// A broker that stops and restarts while everything it offers is in use.
@Suite(.serialized) struct BrokerRestartTests {
    enum Ending: String, CaseIterable { case shutDown, killed, frozen }

    @Test("Every activity continues after the broker restarts", .timeLimit(.minutes(3)), arguments: Ending.allCases)
    func recovery(_ ending: Ending) async throws {
        try await RabbitMQNode.with { node in
            let broker = try await impatientBroker(node.url)
            try await BrokerExercise.run(on: broker) { exercise in
                try await exercise.progress()
                // The broker loses queues that were declared shortly before it is killed.
                try await Task.sleep(for: .seconds(5))
                let start = ContinuousClock.now
                switch ending {
                case .shutDown: try await node.shutDown()
                case .killed: try await node.kill()
                case .frozen: try await node.freeze()
                }
                try await eventually("everything has noticed") {
                    Set(exercise.firstErrors(since: start).keys) == Set(BrokerExercise.Activity.allCases)
                }
                let errors = exercise.firstErrors(since: start)
                let restart = ContinuousClock.now
                if ending == .frozen { try await node.thaw() } else { try await node.restart() }
                let up = ContinuousClock.now
                // Calls begun while the broker starts: a queue that is not available yet must not be taken for a
                // deletion.
                let again = try await exercise.progress(since: restart, within: .seconds(60))
                let longest = try #require(exercise.longestCall(since: start))
                #expect(longest.1 < .seconds(20))
                print(
                    "| broker \(ending.rawValue) and started | back after \((up - start).rounded) | noticed after "
                        + errors.map { "\($0.key.rawValue) \($0.value.after.rounded) (\($0.value.error.code))" }
                        .sorted()
                        .joined(separator: ", ") + "; continued after, counted from the start: "
                        + again.map { "\($0.key.rawValue) \($0.value.rounded)" }.sorted().joined(separator: ", ")
                        + " (it took \((up - restart).rounded)); longest call \(longest.1.rounded) |"
                )
            }
            await broker.close()
        }
    }
}
