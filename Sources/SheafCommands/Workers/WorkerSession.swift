import Glibc
import ServiceLifecycle
import Sheaf
import SheafCore
import SheafServer
import SheafTelemetry
import Synchronization

/// One run of a worker, from connecting to the final report.
///
/// The worker is a service in a group. Signals come from a ``SignalWatch`` instead of the group, because the group
/// cannot distinguish the first signal from the second.
final class WorkerSession: Sendable {
    private let session: Session
    private let configuration: WorkerConfiguration
    private let batch: String?
    private let idle: IdleWatch?
    private let metrics: ListenAddress?
    private let exitsZeroAfterDrain: Bool
    private let total = Mutex<WorkerReport?>(nil)
    private let health = WorkerHealth()
    private let watch = SignalWatch()
    private let group = Mutex<ServiceGroup?>(nil)

    /// Creates a session.
    ///
    /// - Parameters:
    ///   - session: The environment of the command.
    ///   - configuration: What the worker runs.
    ///   - batch: The only batch it works for.
    ///   - idle: With it, the worker runs only while the machine is idle.
    ///   - metrics: Where the worker serves its metrics.
    ///   - exitsZeroAfterDrain: Whether the exit code is 0 if SIGTERM has ended the worker and nothing was left.
    init(
        session: Session,
        configuration: WorkerConfiguration,
        batch: String?,
        idle: IdleWatch? = nil,
        metrics: ListenAddress? = nil,
        exitsZeroAfterDrain: Bool = false
    ) {
        self.session = session
        self.configuration = configuration
        self.batch = batch
        self.idle = idle
        self.metrics = metrics
        self.exitsZeroAfterDrain = exitsZeroAfterDrain
    }

    /// Runs the worker; returns the exit code of the process.
    func run() async throws -> ExitReason {
        do {
            let verdict = try await watch.run(
                ease: { await self.ease($0) },
                hasten: { _ in
                    self.session.console.say(
                        "the worker returns running tasks to the queue; a third signal exits immediately"
                    )
                },
                { try await self.work() }
            )
            return watch.interruption.map(status) ?? verdict
        } catch let error as CancellationError {
            guard let interruption = watch.interruption else { throw error }
            return status(after: interruption)
        } catch {
            throw watch.interruption ?? error
        }
    }

    /// The exit code after a signal; a worker that has not begun has not drained either.
    private func status(after interruption: Interruption) -> ExitReason {
        let isDrained = total.withLock { $0?.isDrained } == true
        return exitsZeroAfterDrain && interruption.signal == SIGTERM && isDrained ? .success : interruption.status
    }

    /// Shuts down gracefully; returns false if there is no worker to shut down.
    private func ease(_ interruption: Interruption) async -> Bool {
        guard let group = group.withLock({ $0 }) else { return false }
        let time = configuration.grace.map { " for up to \(Wording.duration($0))" } ?? ""
        session.console.say(
            "the worker takes no more tasks and lets running tasks finish\(time); "
                + "a second signal returns them to the queue"
        )
        await group.triggerGracefulShutdown()
        return true
    }

    @concurrent
    private func work() async throws -> ExitReason {
        try await session.withClient { client in
            var configuration = configuration
            if let batch {
                let info = try await client.batch(batch).info
                try session.checkRunsHere(info.flow)
                configuration.batch = info.id
            }
            let report = WorkReport(console: session.console)
            defer { if let done = total.withLock({ $0 }) { report.end(done) } }
            do {
                try await observing(configuration) { configuration in
                    try await workRounds(client, configuration, report)
                }
            } catch {
                await shutDownFlows()
                throw error
            }
            await shutDownFlows()
            guard configuration.untilEmpty, let batch = configuration.batch, watch.interruption == nil else {
                return .success
            }
            let last = try await client.batch(batch.text)
            if let pilot = Wording.endOfPilot(last) { session.console.say(pilot) }
            return last.verdict
        }
    }

    /// Runs the body with a configuration that records traces and serves metrics, if that is asked for.
    private func observing(
        _ configuration: WorkerConfiguration,
        _ body: (WorkerConfiguration) async throws -> Void
    ) async throws {
        try await session.withTracing { tracing in
            var observers = tracing.map { [$0.observer] } ?? []
            guard let metrics else { return try await body(configuration.observed(by: observers)) }
            let registry = PrometheusRegistry()
            observers += [WorkerMetrics(flows: configuration.flows, factory: registry), health]
            let endpoint = WorkerEndpoint(
                host: metrics.host,
                port: metrics.port,
                registry: registry,
                health: health,
                logger: session.logger
            )
            let observed = configuration.observed(by: observers)
            do {
                try await endpoint.serving(
                    onListening: { session.console.say("metrics on http://\(metrics.text(port: $0))/metrics") },
                    { try await body(observed) }
                )
            } catch let error as ServerError {
                throw Diagnosis(.inputOutput, error.message, advice: "name another address with --metrics")
            }
        }
    }

    /// Runs one worker, or with `idle` one worker after another.
    private func workRounds(
        _ client: SheafClient,
        _ configuration: WorkerConfiguration,
        _ report: WorkReport
    ) async throws {
        let start = ContinuousClock.now
        while true {
            var round = configuration
            if let idle {
                round.flows = configuration.flows.map(idle.counting)
                try await idle.untilIdle { session.console.say("waiting: \($0)") }
            }
            let earlier = total.withLock { $0 }
            round.maxTasks = configuration.maxTasks.map { $0 - (earlier?.finished ?? 0) }
            round.maxTime = configuration.maxTime.map { $0 - (ContinuousClock.now - start) }
            if let limit = round.maxTasks, limit < 1 { return }
            if let time = round.maxTime, time <= .zero { return }
            let worker = Worker(client: client, configuration: round)
            defer {
                health.rest()
                total.withLock { $0 = worker.report.following(earlier) }
            }
            guard try await serve(worker, report, earlier) == .needed, watch.interruption == nil else { return }
        }
    }

    /// Ends the processes and connections that flows keep between tasks.
    private func shutDownFlows() async {
        for definition in configuration.flows { await definition.flow.shutDown() }
    }

    /// Why a worker ended.
    private enum End { case done, needed }

    /// Runs the worker as a service and shows its progress.
    private func serve(_ worker: Worker, _ report: WorkReport, _ earlier: WorkerReport?) async throws -> End {
        let service = ServiceGroupConfiguration.ServiceConfiguration(
            service: worker,
            successTerminationBehavior: .gracefullyShutdownGroup,
            failureTerminationBehavior: .cancelGroup
        )
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(services: [service], logger: session.logger)
        )
        self.group.withLock { $0 = group }
        defer { self.group.withLock { $0 = nil } }
        return try await withThrowingTaskGroup(of: End?.self) { tasks in
            tasks.addTask {
                try await group.run()
                return .done
            }
            tasks.addTask {
                try await report.show { worker.report.following(earlier) }
                return nil
            }
            if let idle {
                tasks.addTask {
                    let reason = try await idle.untilNeeded()
                    self.session.console.say("taking no more tasks for now: \(reason)")
                    await group.triggerGracefulShutdown()
                    return .needed
                }
            }
            defer { tasks.cancelAll() }
            var end = End.done
            while let next = try await tasks.next() {
                if next == .done { break }
                end = next ?? end
            }
            return end
        }
    }
}

extension WorkerConfiguration {
    /// Returns the same configuration with observers; without any, the worker has none.
    fileprivate func observed(by observers: [any WorkerObserver]) -> WorkerConfiguration {
        var configuration = self
        if !observers.isEmpty { configuration.observer = ObserverGroup(observers) }
        return configuration
    }
}
