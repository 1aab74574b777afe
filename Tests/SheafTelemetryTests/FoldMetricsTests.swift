import SheafCore
import SheafTelemetry
import Testing

@testable import SheafServer

@Suite("Metrics of the fold") struct FoldMetricsTests {
    private let start = Timestamp(milliseconds: 1_700_000_000_000)
    private let fold = FoldMetrics()

    @Test("Batches are counted by flow and status, and tasks by outcome") func groupsByFlow() {
        let batches = [
            summary("a1", "alpha", .ended(BatchCounts(succeeded: 8, failed: 2), after: .seconds(45))),
            summary("a2", "alpha", .open(total: 10, succeeded: 3, running: 2)),
            summary("b1", "beta", .open(total: 5, succeeded: 0, running: 0)),
            summary("b2", "beta", .paused(total: 7)),
        ]
        let samples = samples(batches, at: .seconds(90))
        #expect(samples["sheaf_tasks_total{flow=\"alpha\",status=\"succeeded\"}"] == 11)
        #expect(samples["sheaf_tasks_total{flow=\"alpha\",status=\"failed\"}"] == 2)
        #expect(samples["sheaf_tasks_waiting{flow=\"alpha\"}"] == 5)
        #expect(samples["sheaf_tasks_running{flow=\"alpha\"}"] == 2)
        #expect(samples["sheaf_tasks_waiting{flow=\"beta\"}"] == 5, "tasks of a paused batch do not wait for a worker")
        #expect(samples["sheaf_oldest_waiting_seconds{flow=\"beta\"}"] == 90)
        #expect(samples["sheaf_batches{flow=\"alpha\",status=\"completed\"}"] == 1)
        #expect(samples["sheaf_batches{flow=\"alpha\",status=\"processing\"}"] == 1)
        #expect(samples["sheaf_batches{flow=\"beta\",status=\"paused\"}"] == 1)
        #expect(samples["sheaf_batches_finished_total{flow=\"alpha\",status=\"completed\"}"] == 1)
        #expect(samples["sheaf_batch_duration_seconds_bucket{flow=\"alpha\",status=\"completed\",le=\"10\"}"] == 0)
        #expect(samples["sheaf_batch_duration_seconds_bucket{flow=\"alpha\",status=\"completed\",le=\"60\"}"] == 1)
        #expect(samples["sheaf_batch_duration_seconds_sum{flow=\"alpha\",status=\"completed\"}"] == 45)
        #expect(!samples.series.contains { $0.contains("batch=") }, "batches are not labels unless asked for")
    }

    @Test("A delayed task does not wait for a worker until it is due") func separatesDelayed() {
        let due = [DueTasks(at: start + .seconds(10), count: 2), DueTasks(at: start + .seconds(60), count: 3)]
        let batch = summary("a1", "alpha", .open(total: 9, succeeded: 1, running: 2), delayed: due, leased: 1)
        for (time, waiting) in [(0, 1), (30, 3), (90, 6)] {
            let samples = samples([batch], at: .seconds(time))
            #expect(samples["sheaf_tasks_waiting{flow=\"alpha\"}"] == Double(waiting), "\(time)")
            #expect(samples["sheaf_tasks_delayed{flow=\"alpha\"}"] == Double(6 - waiting), "\(time)")
            #expect(samples["sheaf_tasks_leased{flow=\"alpha\"}"] == 1)
        }
    }

    @Test("A deletion or a retry decreases no counter") func isMonotone() {
        let series = "sheaf_tasks_total{flow=\"alpha\",status=\"failed\"}"
        let ended = summary("a1", "alpha", .ended(BatchCounts(succeeded: 8, failed: 2), after: .seconds(45)))
        #expect(samples([ended])[series] == 2)
        #expect(samples([ended])[series] == 2, "looking twice counts nothing twice")
        // A retry has opened the failed tasks again, and one fails again.
        #expect(samples([summary("a1", "alpha", .open(total: 10, succeeded: 8, running: 0))])[series] == 2)
        #expect(samples([summary("a1", "alpha", .open(total: 10, succeeded: 9, running: 0, failed: 1))])[series] == 3)
        #expect(samples([])[series] == 3)
        #expect(samples([])["sheaf_tasks_total{flow=\"alpha\",status=\"succeeded\"}"] == 9)
    }

    @Test("Tokens are counted by kind; other usage is not exported") func countsTokens() {
        let usage = Usage(["input_tokens": 100, "output_tokens": 20, "seconds": 7])
        let batch = summary("a1", "alpha", .open(total: 10, succeeded: 3, running: 0), usage: usage)
        let samples = samples([batch])
        #expect(samples["sheaf_tokens_total{flow=\"alpha\",kind=\"input\"}"] == 100)
        #expect(samples["sheaf_tokens_total{flow=\"alpha\",kind=\"output\"}"] == 20)
        #expect(samples.series.count { $0.hasPrefix("sheaf_tokens_total") } == 2)
    }

    @Test("The newest active batches have series of their own if that is asked for") func showsNewestBatches() {
        let batches = (0..<5).map { summary(Name("b\($0)"), "alpha", .open(total: 4, succeeded: 1, running: 1)) }
        let samples = samples(
            batches + [summary("z", "alpha", .ended(BatchCounts(succeeded: 1), after: .zero))],
            newest: 2
        )
        let shown = samples.series.filter { $0.hasPrefix("sheaf_batch_tasks") }
        #expect(shown.count == 10)
        #expect(samples["sheaf_batch_tasks{batch=\"b4\",flow=\"alpha\",status=\"pending\"}"] == 2)
        #expect(samples["sheaf_batch_tasks{batch=\"b3\",flow=\"alpha\",status=\"succeeded\"}"] == 1)
    }

    @Test("Beyond 100 flows, flows share the label 'other'") func boundsFlows() {
        let batches = (0..<150).map {
            summary(Name("b\($0)"), Name("flow\($0)"), .open(total: 4, succeeded: 1, running: 0))
        }
        let samples = samples(batches)
        #expect(samples.series.count { $0.hasPrefix("sheaf_tasks_waiting") } == 101)
        #expect(samples["sheaf_tasks_waiting{flow=\"other\"}"] == 150)
    }

    @Test("The text of 1,000 batches has less than 50 KB") func isSmall() {
        let flows: [Name] = ["alpha", "beta", "gamma", "delta", "epsilon"]
        let batches = (0..<1_000).map { number in
            let flow = flows[number % flows.count]
            return number % 3 == 0
                ? summary(Name("b\(number)"), flow, .open(total: 1_000_000, succeeded: number, running: 9))
                : summary(Name("b\(number)"), flow, .ended(BatchCounts(succeeded: 5), after: .seconds(number)))
        }
        #expect(text(batches).utf8.count < 50_000)
    }

    // MARK: Batches

    private enum Shape {
        case open(total: Int, succeeded: Int, running: Int, failed: Int = 0)
        case paused(total: Int)
        case ended(BatchCounts, after: Duration)
    }

    private func summary(
        _ id: Name?,
        _ flow: Name?,
        _ shape: Shape,
        usage: Usage = Usage(),
        delayed: [DueTasks] = [],
        leased: Int = 0
    ) -> BatchSummary {
        guard let id, let flow else { preconditionFailure("a test uses an invalid name") }
        var journal = JournalState()
        func note(_ event: JournalEntry.Event, after time: Duration = .zero) {
            journal.apply(JournalEntry(batch: id, flow: flow, at: start + time, event: event))
        }
        note(.created(options: BatchOptions(), source: "", nonce: "n"))
        var progress = BatchProgress(
            batch: id,
            total: 0,
            isSealed: true,
            settled: BatchState.Settled(),
            running: 0,
            startedAt: nil,
            offset: 0,
            usage: usage,
            leased: leased,
            delayed: delayed
        )
        switch shape {
        case .open(let total, let succeeded, let running, let failed):
            note(.sealed(total: total))
            progress.settled = BatchState.Settled(succeeded: succeeded, failed: failed)
            progress.running = running
        case .paused(let total):
            note(.sealed(total: total))
            note(.paused)
        case .ended(let counts, let time):
            note(.sealed(total: counts.total))
            note(.finished(generation: 0, endOffset: 9, counts: counts, startedAt: start), after: time)
        }
        guard let info = journal[id] else { preconditionFailure("the journal has no such batch") }
        return BatchSummary(info: info, progress: progress)
    }

    private func text(_ batches: [BatchSummary], at time: Duration = .zero, newest: Int = 0) -> String {
        var text = PrometheusText()
        fold.write(batches, newest: newest, now: start + time, to: &text)
        return text.text
    }

    private func samples(_ batches: [BatchSummary], at time: Duration = .zero, newest: Int = 0) -> Samples {
        Samples(text(batches, at: time, newest: newest))
    }
}
