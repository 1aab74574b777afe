import Sheaf
import SheafTesting
import Synchronization
import Testing

/// A flow made of a closure.
private struct ClosureFlow: Flow {
    let body: @Sendable (FlowTask) async throws -> FlowOutput

    func run(_ task: FlowTask) async throws -> FlowOutput { try await body(task) }
}

/// A service with effects: counts calls, and has each effect once for each key.
private final class Service: Sendable {
    private let calls = Mutex<[String: Int]>([:])

    var effects: Set<String> { Set(calls.withLock { $0.keys }) }

    func calls(for key: String) -> Int { calls.withLock { $0[key] ?? 0 } }

    /// Returns how often it was called with the key.
    @discardableResult
    func call(_ key: String) -> Int {
        calls.withLock { calls in
            calls[key, default: 0] += 1
            return calls[key] ?? 0
        }
    }
}

/// Uses nothing but the products, as the tests of a flow do.
@Suite("A stage for flows") struct FlowStageTests {
    private func flow(
        retries: Int = 0,
        _ body: @escaping @Sendable (FlowTask) async throws -> FlowOutput
    ) -> FlowDefinition {
        FlowDefinition(name: "tried", flow: ClosureFlow(body: body), retries: retries)
    }

    @Test("Outcomes are ordered by index, with outputs and errors")
    func outcomes() async throws {
        let definition = flow { task in
            if task.index == 1 { throw FlowError(type: "odd", message: "refused \(task.record.id)") }
            return .metered(.text("line \(task.record.id)"), Usage(["calls": 1]))
        }
        let run = try await FlowStage().run(definition, lines: ["a", "b", "c"])
        #expect(run.outcomes.map(\.index) == [0, 1, 2])
        #expect(run.outputs == ["line 1", nil, "line 3"])
        #expect(run.outcomes[1].error == Outcome.Failure(type: "odd", message: "refused 2"))
        #expect(run.summary.status == .completed)
        #expect(run.summary.counts == BatchCounts(succeeded: 2, failed: 1))
        #expect(run.summary.usage == Usage(["calls": 2]))
    }

    @Test("A retry does not wait for its delay, unless the stage says so")
    func retries() async throws {
        let service = Service()
        var definition = flow(retries: 2) { task in
            if service.call(task.id) < 3 { throw FlowError(type: "busy", message: "later", isRetryable: true) }
            return .value(true)
        }
        definition.retryRule = RetryRule(delay: .seconds(600), maximumDelay: .seconds(600))
        let run = try await FlowStage().run(definition, lines: ["a"])
        #expect(run.outputs == [true])
        #expect(run.outcomes[0].attempts == 3)
        #expect(run.outcomes[0].errors.map(\.type) == ["busy", "busy"])
        await #expect(throws: FlowStageError.self) {
            let waiting = flow(retries: 1) { _ in throw FlowError(type: "busy", message: "later", isRetryable: true) }
            _ = try await FlowStage(waitsBeforeRetries: true, limit: .milliseconds(600)).run(waiting, lines: ["a"])
        }
    }

    @Test("As many tasks run at once as the stage says")
    func concurrency() async throws {
        let running = Mutex((now: 0, most: 0))
        let definition = flow { _ in
            running.withLock { $0 = ($0.now + 1, max($0.most, $0.now + 1)) }
            // Ends once two tasks have run at the same time, which a smaller concurrency would never allow.
            while running.withLock({ $0.most }) < 2 { try await Task.sleep(for: .milliseconds(2)) }
            running.withLock { $0.now -= 1 }
            return .value(1)
        }
        let run = try await FlowStage(concurrency: 2).run(definition, lines: (0..<8).map(String.init))
        #expect(run.summary.counts.succeeded == 8)
        #expect(running.withLock { $0.most } == 2)
    }

    @Test("An error policy stops the batch")
    func errorPolicy() async throws {
        let definition = flow { _ in throw FlowError(type: "broken", message: "on purpose") }
        let stage = FlowStage(concurrency: 1, errorPolicy: .stop(above: 0))
        let run = try await stage.run(definition, lines: ["a", "b", "c"])
        #expect(run.summary.status == .failed)
        #expect(run.outcomes.map(\.index) == [0])
    }

    @Test("Parameters of the stage override those of the flow, and a list makes variants")
    func parameters() async throws {
        var definition = flow { .value($0.parameters) }
        definition.parameters = ["unit": "m", "factor": 1]
        let run = try await FlowStage(parameters: ["factor": [2, 3]]).run(definition, json: [["n": 1]])
        #expect(run.outputs == [["unit": "m", "factor": 2], ["unit": "m", "factor": 3]])
    }

    @Test("The stage answers questions")
    func answers() async throws {
        let asking = flow { task in
            guard let asker = task.asker else { throw FlowError(type: "alone", message: "no asker") }
            return .text(try await asker.ask(Question("keep \(task.index)?", choices: ["yes", "no"], fallback: "yes")))
        }
        let run = try await FlowStage(answer: { _, index in index == 0 ? "no" : "" }).run(asking, lines: ["a", "b"])
        #expect(run.outputs == ["no", "yes"])
        let wrong = try await FlowStage(answer: { _, _ in "perhaps" }).run(asking, lines: ["a"])
        #expect(wrong.outcomes[0].error?.message.contains("'perhaps' is not allowed") == true)
        let alone = try await FlowStage().run(asking, lines: ["a"])
        #expect(alone.outcomes[0].error?.type == "alone")
    }

    @Test("A question without an answer ends by its time-out")
    func unanswered() async throws {
        var asking = flow { .text(try await $0.asker?.ask(Question("why?")) ?? "") }
        asking.answerTimeout = .milliseconds(200)
        let run = try await FlowStage(answer: { _, _ in nil }).run(asking, lines: ["a"])
        #expect(run.outcomes[0].error?.type == "unanswered")
    }

    @Test("After the loss of a worker another one runs its tasks again")
    func lostWorker() async throws {
        let service = Service()
        let definition = flow { .value(.integer(service.call($0.id))) }
        let run = try await FlowStage(concurrency: 1, losesWorkerAfter: [1]).run(definition, lines: ["a", "b", "c"])
        let ids = run.outcomes.map { "\(run.summary.info.id):\($0.index)" }
        #expect(run.summary.counts == BatchCounts(succeeded: 3))
        #expect(service.calls(for: ids[1]) == 2)
        #expect(run.outputs[1] == 2)
        #expect(run.outcomes[1].attempts == 2)
        #expect(service.effects == Set(ids))
    }

    @Test("Every task can lose its worker")
    func manyLostWorkers() async throws {
        let service = Service()
        let definition = flow { task in
            service.call(task.id)
            return .value(.integer(task.index))
        }
        let stage = FlowStage(losesWorkerAfter: Set(0..<6))
        let run = try await stage.run(definition, lines: (0..<6).map(String.init))
        #expect(run.outputs == (0..<6).map { .integer($0) })
        #expect(run.outcomes.allSatisfy { service.calls(for: "\(run.summary.info.id):\($0.index)") >= 2 })
    }

    @Test("A run that does not end fails, and so does the loss of a worker that no task can have")
    func errors() async throws {
        let endless = flow { _ in
            try await Task.sleep(for: .seconds(600))
            return .value(1)
        }
        let late = await #expect(throws: FlowStageError.self) {
            try await FlowStage(limit: .milliseconds(300)).run(endless, lines: ["a"])
        }
        #expect(late?.description.contains("flow 'tried' has not run all records") == true)
        let wrong = await #expect(throws: FlowStageError.self) {
            try await FlowStage(losesWorkerAfter: [3]).run(endless, lines: ["a"])
        }
        #expect(wrong?.description == "cannot lose a worker after task 3: the last task is 0")
        let none = await #expect(throws: SheafError.self) { try await FlowStage().run(endless, lines: []) }
        #expect(none?.code == .invalid)
    }

    @Test("The flow is shut down after its run")
    func shutDown() async throws {
        struct Closing: Flow {
            let service: Service
            func run(_ task: FlowTask) async throws -> FlowOutput { .value(1) }
            func shutDown() async { service.call("closed") }
        }
        let service = Service()
        let closing = FlowDefinition(name: "closing", flow: Closing(service: service))
        let run = try await FlowStage().run(closing, lines: ["a"])
        #expect(run.outputs == [1])
        #expect(service.calls(for: "closed") == 1)
    }
}
