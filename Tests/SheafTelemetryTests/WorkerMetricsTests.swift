import Metrics
import Sheaf
import SheafCore
import SheafTelemetry
import SheafTestSupport
import Synchronization
import Testing

@Suite("Worker metrics") struct WorkerMetricsTests {
    @Test("A worker counts attempts, errors, durations, waits and confirms", arguments: BrokerKind.allCases)
    func countsWork(kind: BrokerKind) async throws {
        let registry = PrometheusRegistry()
        try await Stage.with(kind) { stage in
            let flow = try FlowDefinition.work(retries: 1) { task in
                if task.index % 10 == 0 {
                    throw FlowError(type: task.index == 0 ? "exit-code" : "my own", message: "no", isRetryable: true)
                }
                return .json(task.record.bytes)
            }
            try await stage.client { client in _ = try await client.create(plan(), records: records(40)) }
            try await stage.work([flow]) {
                $0.observer = WorkerMetrics(flows: [flow], factory: registry)
                $0.concurrency = 7
            }
        }
        let samples = Samples(registry.text)
        #expect(samples["sheaf_task_attempts_total{flow=\"work\",outcome=\"succeeded\"}"] == 36)
        #expect(samples["sheaf_task_attempts_total{flow=\"work\",outcome=\"failed\"}"] == 4)
        #expect(samples["sheaf_task_attempts_total{flow=\"work\",outcome=\"retried\"}"] == 4)
        #expect(samples["sheaf_task_errors_total{flow=\"work\",error_type=\"exit-code\"}"] == 2)
        #expect(samples["sheaf_task_errors_total{flow=\"work\",error_type=\"other\"}"] == 6)
        #expect(samples["sheaf_task_duration_seconds_count{flow=\"work\",status=\"succeeded\"}"] == 36)
        #expect(samples["sheaf_task_duration_seconds_count{flow=\"work\",status=\"failed\"}"] == 4)
        #expect(samples["sheaf_task_wait_seconds_count{flow=\"work\"}"] == 40)
        #expect(samples["sheaf_worker_slots"] == 7)
        #expect((samples["sheaf_publish_confirm_seconds_count"] ?? 0) > 0)
        #expect(samples["sheaf_worker_connected"] == 1)
        #expect(samples["sheaf_redeliveries_total{flow=\"work\"}"] == 0)
    }

    @Test("The slots in use and the time of waiting for a limit are measured while tasks run") func measuresLoad()
        async throws
    {
        let registry = PrometheusRegistry()
        try await Stage.with(.embedded) { stage in
            let calls = Mutex(0)
            let flow = try FlowDefinition.work { task in
                let call = calls.withLock {
                    $0 += 1
                    return $0
                }
                if call == 1 { throw FlowThrottle(delay: .seconds(1), message: "busy") }
                try await Task.sleep(for: .milliseconds(700))
                return .json(task.record.bytes)
            }
            try await stage.client { client in _ = try await client.create(plan(), records: records(2)) }
            let used = Highest()
            try await stage.work([flow]) {
                $0.observer = ObserverGroup([WorkerMetrics(flows: [flow], factory: registry), used])
                $0.concurrency = 1
            }
            #expect(used.value == 1)
        }
        let samples = Samples(registry.text)
        #expect(samples["sheaf_task_attempts_total{flow=\"work\",outcome=\"throttled\"}"] == 1)
        let throttled = samples["sheaf_limit_throttled_seconds_total{limit=\"flow.work\"}"] ?? 0
        #expect((0.5...3).contains(throttled), "\(throttled)")
    }

    @Test(
        "The types of errors become a fixed set of labels",
        arguments: [
            ("exit-code", "exit-code"), ("http-429", "http-4xx"), ("http-503", "http-5xx"), ("http-999", "other"),
            ("http-x", "other"), ("MyError", "other"), ("", "other"), ("worker-lost", "worker-lost"),
        ]
    ) func boundsErrorTypes(type: String, label: String) {
        #expect(ErrorTypes.label(type) == label)
        #expect(ErrorTypes.known.contains(label))
    }
}

/// Remembers the most tasks that ran at once.
private final class Highest: WorkerObserver {
    private let most = Mutex(0)

    var value: Int { most.withLock { $0 } }

    func loadMeasured(_ load: WorkerLoad) {
        most.withLock { $0 = max($0, load.running.values.reduce(0, +)) }
    }
}
