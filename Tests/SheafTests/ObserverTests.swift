import Sheaf
import SheafBroker
import SheafCore
import SheafFlows
import SheafTestSupport
import Synchronization
import Testing

@Suite("Worker observer") struct ObserverTests {
    /// Records what it receives.
    private final class Recorder: WorkerObserver {
        struct Events {
            var began: [ObservedTask] = []
            var ended: [(task: ObservedTask, status: Outcome.Status)] = []
            var retried: [(task: ObservedTask, type: String)] = []
            var returned = 0
            var throttled: [RateLimitKey] = []
            var leased: [Int] = []
            var states: [WorkerConnectionState] = []
        }

        private let events = Mutex(Events())

        var all: Events { events.withLock { $0 } }

        func taskBegan(_ task: ObservedTask) { events.withLock { $0.began.append(task) } }
        func taskEnded(_ task: ObservedTask, outcome: Outcome) {
            events.withLock { $0.ended.append((task, outcome.status)) }
        }
        func taskRetried(_ task: ObservedTask, error: FlowError, delay: Duration) {
            events.withLock { $0.retried.append((task, error.type)) }
        }
        func tasksReturned(_ count: Int, toQueueOf batch: Name?) { events.withLock { $0.returned += count } }
        func taskThrottled(_ task: ObservedTask, by limit: RateLimitKey, throttle: FlowThrottle) {
            events.withLock { $0.throttled.append(limit) }
        }
        func taskLeased(batch: Name, index: Int, generation: Int) { events.withLock { $0.leased.append(index) } }
        func connectionChanged(to state: WorkerConnectionState) { events.withLock { $0.states.append(state) } }
    }

    /// An observer that implements nothing.
    private struct Nothing: WorkerObserver {}

    @Test("An observer receives beginnings, ends, retries, throttles and leases", arguments: BrokerKind.allCases)
    func observation(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let recorder = Recorder()
            let wasThrottled = Atomic(false)
            var flow = try FlowDefinition.work(retries: 1) { task in
                switch (task.index, task.attempt) {
                case (0, 1): throw FlowError(type: "busy", message: "later", isRetryable: true)
                case (1, _): throw FlowError(type: "broken", message: "permanently")
                case (2, _):
                    if !wasThrottled.exchange(true, ordering: .relaxed) {
                        throw FlowThrottle(delay: .milliseconds(200), message: "429")
                    }
                case (3, _): try await Task.sleep(for: .seconds(1))
                default: break
                }
                return .value(1)
            }
            flow.retryRule.delay = .milliseconds(100)
            let settled = flow
            let batch = try await stage.client { try await $0.create(plan(), records: records(5)) }
            let report = try await stage.work([settled]) {
                $0.acknowledgementTimeout = .seconds(1)
                $0.observer = recorder
            }
            #expect(report.succeeded == 4 && report.failed == 1 && report.retried == 1)
            let events = recorder.all
            // Each attempt begins, and so does the call that was told to wait.
            #expect(events.began.map(\.index).sorted() == [0, 0, 1, 2, 2, 3, 4])
            #expect(events.began.allSatisfy { $0.batch == batch.id && $0.flow == batch.flow && $0.generation == 0 })
            #expect(events.began.filter { $0.index == 0 }.map(\.attempt) == [1, 2])
            #expect(events.ended.map(\.task.index).sorted() == [0, 1, 2, 3, 4])
            #expect(events.ended.filter { $0.status == .failed }.map(\.task.index) == [1])
            #expect(events.retried.map(\.task.index) == [0] && events.retried.map(\.type) == ["busy"])
            #expect(events.throttled == [.flow(batch.flow)])
            #expect(events.leased.contains(3))
            #expect(events.states.isEmpty)
        }
    }

    @Test("An observer receives the tasks that a leaving worker returns", arguments: BrokerKind.allCases)
    func returning(kind: BrokerKind) async throws {
        try await Stage.with(kind) { stage in
            let (recorder, gate) = (Recorder(), Gate())
            let stuck = try FlowDefinition.work { _ in
                await gate.open()
                try await Task.sleep(for: .seconds(60))
                return .value(1)
            }
            _ = try await stage.client { try await $0.create(plan(), records: records(10)) }
            let worker = Task {
                try await stage.work([stuck]) {
                    $0.concurrency = 2
                    $0.observer = recorder
                }
            }
            await gate.wait()
            worker.cancel()
            _ = await worker.result
            let events = recorder.all
            #expect(events.returned >= events.began.count && events.returned > 0 && events.ended.isEmpty)
        }
    }

    @Test("An observer receives when outcomes cannot be written and when they can again")
    func connectionStates() async throws {
        try await Stage.with(.embedded) { stage in
            let (recorder, gauge) = (Recorder(), Gauge())
            let flow = try FlowDefinition.work { _ in
                await gauge.enter()
                try await Task.sleep(for: .milliseconds(20))
                return .value(1)
            }
            try await stage.client { inner in
                let broker = AlarmBroker(inner.broker)
                let client = try await SheafClient(broker: broker, namespace: stage.namespace, logger: inner.logger)
                let batch = try await client.create(plan(), records: records(100))
                var configuration = WorkerConfiguration(flows: [flow], concurrency: 4, untilEmpty: true)
                configuration.observer = recorder
                let worker = Worker(client: client, configuration: configuration)
                async let working: Void = worker.run()
                try await until("tasks run") { await gauge.total > 10 }
                #expect(recorder.all.states.isEmpty)
                broker.block(client.names.results(batch: batch.id))
                try await until("it is interrupted") { recorder.all.states.count == 1 }
                broker.block(nil)
                try await working
                let states = recorder.all.states
                guard case .interrupted(let reason) = states.first else {
                    Issue.record("\(states)")
                    return
                }
                #expect(!reason.isEmpty && states.last == .connected)
            }
        }
    }

    @Test("An observer need not implement anything")
    func emptyObserver() async throws {
        try await Stage.with(.embedded) { stage in
            let flow = try FlowDefinition.work { _ in .value(1) }
            _ = try await stage.client { try await $0.create(plan(), records: records(5)) }
            #expect(try await stage.work([flow]) { $0.observer = Nothing() }.succeeded == 5)
        }
    }
}
