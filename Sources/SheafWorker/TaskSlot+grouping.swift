import SheafBatches
import SheafBroker
import SheafCore
import SheafFlows

/// Tasks of one batch that a flow is handed several at a time, and more of them as it goes on.
extension TaskSlot {
    /// The most bytes of the records of tasks that are handed to a flow at a time.
    private static let groupBytes = 128 << 10
    /// How long a run is given more: a batch whose tasks are taken one by one comes to its turn only where a slot is free.
    private static let longestRun = Duration.milliseconds(250)

    /// What has to be seen to beside the run.
    private enum Matter {
        /// The attempt at a task has ended in another way than with an output.
        case ended(Assignment, AttemptResult, Moment)
        /// It is not certain that a task may begin.
        case uncertain(InboxItem)
    }

    /// Takes out tasks that may follow on one of the same batch, those that begin and those of which that is not certain.
    func takeMore(after first: Assignment, atMost count: Int, isRunning: Bool) -> (
        begun: [Assignment], uncertain: [InboxItem]
    ) {
        let items = inbox.takeMore(of: first.item.batch, atMost: count, bytes: Self.groupBytes, onlyBatch: isRunning)
        if items.isEmpty { return ([], []) }
        let assignments = items.map { try? assignment(of: $0, like: first) }
        let known = assignments.compactMap { $0 }
        let isPaused = book.isPaused(first.definition.rateLimitKey)
        var admissions = state.admit(known, isPaused: isPaused)[...]
        var (begun, uncertain): ([Assignment], [InboxItem]) = ([], [])
        for (item, assignment) in zip(items, assignments) {
            guard let assignment else {
                uncertain.append(item)
                continue
            }
            switch admissions.removeFirst() {
            case .begun: begun.append(assignment)
            case .joined: break
            case .finished, .refused, .paused: uncertain.append(item)
            }
        }
        return (begun, uncertain)
    }

    /// Has the flow of a task make attempts at it, at those that were let begin with it, and at more as long as they are at hand.
    func attempt(_ group: [Assignment]) async throws {
        guard let first = group.first else { return }
        let run = TaskRun()
        // What takes more than handing an outcome over is seen to here: a cancel of the batch ends only the attempts.
        let (matters, continuation) = AsyncStream.makeStream(of: Matter.self)

        @Sendable func handOver(_ assignments: [Assignment]) -> [FlowTask] {
            var (handed, tasks): ([Assignment], [FlowTask]) = ([], [])
            for assignment in assignments {
                do throws(FlowError) {
                    tasks.append(try flowTask(of: assignment, nil))
                    handed.append(assignment)
                } catch {
                    continuation.yield(.ended(assignment, .failure(error), Moment()))
                }
            }
            state.setAttempt(of: handed.map(\.item)) { run.end() }
            if isCancelledSince(handed) { run.end() }
            run.add(handed)
            return tasks
        }

        let start = ContinuousClock.now
        let tasks = handOver(group)
        let attempts = Task.immediate {
            if !tasks.isEmpty {
                await first.definition.attempt(tasks) { count in
                    let isLate = .now - start > Self.longestRun
                    if isLate || Task.isCancelled || run.isEnded || state.isStalled || state.isLeaving { return [] }
                    let (begun, uncertain) = takeMore(after: first, atMost: count, isRunning: true)
                    for item in uncertain { continuation.yield(.uncertain(item)) }
                    return handOver(begun)
                } ended: { result in
                    let (assignment, beginning, end) = run.pass()
                    if case .success(let output) = result {
                        succeed(assignment, output, beginning, end.time)
                    } else {
                        continuation.yield(.ended(assignment, result, beginning))
                    }
                }
            }
            continuation.finish()
        }
        run.begin(attempts)
        do {
            try await withTaskCancellationHandler {
                for await matter in matters { try await see(to: matter) }
            } onCancel: {
                attempts.cancel()
            }
        } catch {
            attempts.cancel()
            await attempts.value
            throw error
        }
        await attempts.value
        // Their batch may have been stopped, paused or cancelled since they were taken.
        if !Task.isCancelled { try await putBack(run.rest) }
    }

    private func see(to matter: Matter) async throws {
        switch matter {
        case .ended(let assignment, let result, let beginning): try await conclude(assignment, result, beginning)
        case .uncertain(let item):
            // It does not go behind those of the run, which may go on for long; whoever is free takes it.
            if let assignment = try await begin(item) { try await putBack([assignment]) }
        }
    }
}
