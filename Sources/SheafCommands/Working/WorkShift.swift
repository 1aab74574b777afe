import ServiceLifecycle
import Sheaf
import SheafCore
import Synchronization

/// One run of a worker, from connecting to the last word on what it did.
///
/// The worker is a service in a group; signals come from a ``SignalWatch`` instead of the group's own, because the
/// group can not tell the first signal from the second.
final class WorkShift: Sendable {
    private let session: Session
    private let configuration: WorkerConfiguration
    private let batch: String?
    private let watch = SignalWatch()
    private let group = Mutex<ServiceGroup?>(nil)

    init(session: Session, configuration: WorkerConfiguration, batch: String?) {
        self.session = session
        self.configuration = configuration
        self.batch = batch
    }

    /// Works; returns what the process is to exit with.
    func run() async throws -> ExitReason {
        do {
            let verdict = try await watch.run(
                ease: { await self.ease($0) },
                hasten: { _ in
                    self.session.console.say("giving back what runs; once more ends on the spot")
                },
                { try await self.work() }
            )
            return watch.interruption?.status ?? verdict
        } catch {
            throw watch.interruption ?? error
        }
    }

    /// Shuts down gracefully if there is something to shut down.
    private func ease(_ interruption: Interruption) async -> Bool {
        guard let group = group.withLock({ $0 }) else { return false }
        let time = configuration.grace.map { " for up to \(Wording.duration($0))" } ?? ""
        session.console.say("taking no more tasks and finishing those that run\(time); once more gives them back")
        await group.triggerGracefulShutdown()
        return true
    }

    @concurrent
    private func work() async throws -> ExitReason {
        try await session.withClient { client in
            var configuration = configuration
            if let batch { configuration.batch = try await client.batch(batch).record.id }
            let worker = Worker(client: client, configuration: configuration)
            let report = WorkReport(console: session.console)
            defer { report.end(worker.report) }
            try await serve(worker, report)
            guard configuration.untilEmpty, let batch = configuration.batch, watch.interruption == nil else {
                return .success
            }
            return try await client.batch(batch.text).verdict
        }
    }

    /// Runs the worker as a service and shows how far it is.
    private func serve(_ worker: Worker, _ report: WorkReport) async throws {
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
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            tasks.addTask { try await report.show { worker.report } }
            defer { tasks.cancelAll() }
            try await tasks.next()
        }
    }
}
