import SheafBatches
import SheafBroker
import SheafCore
import SheafFlows
import Synchronization

/// Hands several tasks of one batch to a flow at once, and more of them while it works.
struct GroupExecution: Sendable {
    /// The most bytes of the records that are handed to a flow at once.
    static let maximumBytes = 128 << 10

    private let executor: TaskExecutor
    private let longest: Duration
    private let turns = Turns()
    private let control = AttemptControl()

    /// Creates the execution of one group.
    ///
    /// - Parameters:
    ///   - executor: Admits tasks and handles their results.
    ///   - longest: How long the flow is given more tasks.
    init(executor: TaskExecutor, longest: Duration) {
        self.executor = executor
        self.longest = longest
    }

    /// What has to be handled beside the run.
    private enum Event {
        /// The attempt at a task ended without an output.
        case ended(Assignment, AttemptResult, Moment)
        /// A task has to be looked at by itself before it may begin.
        case uncertain(TaskDelivery)
    }

    /// Lets the flow make attempts at tasks that were admitted together, and at more as long as they are available.
    func run(_ group: [Assignment]) async throws {
        guard let first = group.first else { return }
        let (events, continuation) = AsyncStream.makeStream(of: Event.self)

        @Sendable func handOver(_ assignments: [Assignment]) -> [FlowTask] {
            var (handed, tasks): ([Assignment], [FlowTask]) = ([], [])
            for assignment in assignments {
                do throws(FlowError) {
                    tasks.append(try executor.flowTask(of: assignment))
                    handed.append(assignment)
                } catch {
                    continuation.yield(.ended(assignment, .failure(error), Moment()))
                }
            }
            executor.noteBeginning(of: handed)
            executor.setAttempt(of: handed) { control.end() }
            turns.add(handed)
            return tasks
        }

        let start = ContinuousClock.now
        let tasks = handOver(group)
        let attempts = Task.immediate {
            if !tasks.isEmpty {
                await first.definition.attempt(tasks) { count in
                    if .now - start > longest || control.isEnded || !executor.mayContinue { return [] }
                    let (begun, uncertain) = executor.takeMore(after: first, atMost: count, isRunning: true)
                    for delivery in uncertain { continuation.yield(.uncertain(delivery)) }
                    return handOver(begun)
                } ended: { result in
                    let (assignment, beginning, end) = turns.pass()
                    if case .success(let output) = result {
                        executor.succeed(assignment, output, beginning, end.time)
                    } else {
                        continuation.yield(.ended(assignment, result, beginning))
                    }
                }
            }
            continuation.finish()
        }
        try await control.run(attempts, events, handle)
        // Their batch may have been stopped, paused or cancelled since they were taken.
        if !Task.isCancelled { try await executor.putBack(turns.rest) }
    }

    private func handle(_ event: Event) async throws {
        switch event {
        case .ended(let assignment, let result, let beginning):
            try await executor.conclude(assignment, result, beginning)
        case .uncertain(let delivery):
            // It does not wait for the end of the run, which may take long; any free slot takes it.
            if let assignment = try await executor.begin(delivery) { try await executor.putBack([assignment]) }
        }
    }
}

/// The tasks that a flow works on one after the other, and whose turn it is.
private final class Turns: Sendable {
    private struct State {
        var assignments: [Assignment] = []
        /// How many of those have a result.
        var place = 0
        var beginning = Moment()
    }

    private let state = Mutex(State())

    /// Adds tasks that the flow is handed now, after those it has.
    func add(_ assignments: [Assignment]) {
        state.withLock { state in
            state.assignments.removeFirst(state.place)
            state.place = 0
            state.assignments += assignments
        }
    }

    /// Records that the task whose turn it was has a result.
    ///
    /// - Returns: The task, since when it had its turn, and the time.
    func pass() -> (assignment: Assignment, beginning: Moment, end: Moment) {
        let now = Moment()
        return state.withLock { state in
            defer {
                state.place += 1
                state.beginning = now
            }
            return (state.assignments[state.place], state.beginning, now)
        }
    }

    /// The tasks that have no result.
    var rest: [Assignment] { state.withLock { Array($0.assignments[$0.place...]) } }
}

/// Ends attempts that run in a task of their own, even if they have not begun.
final class AttemptControl: Sendable {
    private struct State {
        var attempts: Task<Void, Never>?
        var isEnded = false
    }

    private let state = Mutex(State())

    /// Whether the attempts are to end.
    var isEnded: Bool { state.withLock { $0.isEnded } }

    /// Ends the attempts.
    func end() {
        let attempts = state.withLock { state in
            state.isEnded = true
            return state.attempts
        }
        attempts?.cancel()
    }

    /// Handles what attempts report, and returns when they have ended.
    ///
    /// What takes more than submitting an outcome is handled here: a cancel of the batch ends only the attempts.
    func run<Event: Sendable>(
        _ attempts: Task<Void, Never>,
        _ events: AsyncStream<Event>,
        _ handle: (Event) async throws -> Void
    ) async throws {
        let isEnded = state.withLock { state in
            state.attempts = attempts
            return state.isEnded
        }
        if isEnded { attempts.cancel() }
        do {
            try await withTaskCancellationHandler {
                for await event in events { try await handle(event) }
            } onCancel: {
                attempts.cancel()
            }
        } catch {
            attempts.cancel()
            await attempts.value
            throw error
        }
        await attempts.value
    }
}
