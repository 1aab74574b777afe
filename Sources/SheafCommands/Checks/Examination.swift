import OrderedCollections
import Sheaf
import SheafBroker
import SheafCore
import SheafFlows
import SheafRedis
import SheafSettings

/// Checks everything that Sheaf needs in order to work.
struct Examination: Sendable {
    private let options: CommonOptions

    init(_ options: CommonOptions) { self.options = options }

    /// Runs the checks; leaves out checks that depend on a failed one.
    @concurrent
    func checks() async -> [HealthCheck] {
        var checks = [HealthCheck(.ok, "version", "sheaf \(SheafVersion.current)")]
        let session: Session
        do {
            session = try Session(options)
        } catch {
            return checks + [HealthCheck("configuration", failed: error)]
        }
        checks.append(Self.configuration(session))
        checks.append(Self.flows(session))
        checks += session.settings.warnings.map { HealthCheck(.warn, "flows", $0.description) }
        checks += session.settings.flows.values.compactMap(Self.flow)
        checks += session.settings.dispatchers.values.map(Self.dispatcher)
        checks += await Self.broker(session)
        for dispatcher in session.settings.dispatchers.values {
            if let queue = dispatcher.queue { checks.append(await Self.queue(queue, of: dispatcher.name)) }
        }
        checks += [.openFiles(), .limits()]
        return checks
    }

    private static func configuration(_ session: Session) -> HealthCheck {
        guard let file = session.settings.file else {
            return HealthCheck(
                .warn,
                "configuration",
                "there is no sheaf.yaml here or in a folder above",
                advice: "create one to define flows, or name one with --config or SHEAF_CONFIG"
            )
        }
        return HealthCheck(.ok, "configuration", file)
    }

    private static func flows(_ session: Session) -> HealthCheck {
        HealthCheck(.ok, "flows", session.settings.flows.keys.map(\.text).joined(separator: ", "))
    }

    /// Checks whether a worker on this machine could run a flow, without running it.
    private static func flow(_ settings: FlowSettings) -> HealthCheck? {
        // The settings already warn about a missing variable.
        guard let flow = settings.flow as? any ExaminableFlow, settings.missingVariables.isEmpty else { return nil }
        let (subject, seen) = ("flow \(settings.name)", flow.examine())
        guard let problem = seen.problem else { return HealthCheck(.ok, subject, seen.use) }
        return HealthCheck(.warn, subject, problem, advice: "fix it before a worker runs this flow here")
    }

    /// Checks whether the limits of a dispatcher fit together.
    private static func dispatcher(_ settings: DispatchSettings) -> HealthCheck {
        let subject = "dispatch \(settings.name)"
        if let most = settings.maxWaiting, most < settings.queueThreshold {
            return HealthCheck(
                .warn,
                subject,
                "at most \(most) requests may wait (max_waiting), and \(settings.queueThreshold) make a batch "
                    + "(queue_threshold), so only their age or size makes one",
                advice: "raise max_waiting or lower queue_threshold"
            )
        }
        return HealthCheck(
            .ok,
            subject,
            "batches of \(settings.flow) from \(Wording.count(settings.queueThreshold, "request")), "
                + "\(settings.maxBytes) bytes, or an age of \(Wording.duration(settings.timeThreshold))"
        )
    }

    /// Checks whether the queue of a dispatcher can be reached, and whether Redis keeps what it holds.
    private static func queue(_ queue: RedisQueueSettings, of name: Name) async -> HealthCheck {
        let subject = "queue of dispatch \(name)"
        do {
            let state = try await RedisServerState.read(queue.url, key: queue.key)
            let text = "\(state.version) at \(queue.url), \(queue.kind.rawValue) '\(queue.key)'"
            if !["none", queue.kind.rawValue].contains(state.type) {
                return HealthCheck(
                    .fail,
                    subject,
                    "\(text): the key holds a \(state.type)",
                    advice: "set queue_type, or another queue_key"
                )
            }
            if state.evicts {
                let advice = "set maxmemory-policy to noeviction"
                return HealthCheck(.warn, subject, "\(text): it may delete requests if memory is full", advice: advice)
            }
            if !state.isDurable {
                let advice = "set appendonly to yes"
                return HealthCheck(.warn, subject, "\(text): a crash of it may lose requests", advice: advice)
            }
            return HealthCheck(.ok, subject, text)
        } catch {
            return HealthCheck(subject, failed: error)
        }
    }

    private static func broker(_ session: Session) async -> [HealthCheck] {
        guard let folder = session.settings.broker.directory else { return await connection(session) }
        // A check must not create the folder.
        guard HealthCheck.exists(folder) else { return [.newBroker(at: folder)] }
        return await connection(session) + [.freeSpace(at: folder)]
    }

    private static func connection(_ session: Session) async -> [HealthCheck] {
        do {
            let clock = ContinuousClock()
            let start = clock.now
            return try await session.withClient { client in
                let description = try await client.broker.description
                let time = Wording.duration(clock.now - start)
                let text =
                    "\(description.kind) \(description.version) at \(description.address), connected in \(time)"
                    + " (from \(session.settings.origin(of: "broker")))"
                var checks = [HealthCheck(.ok, "broker", text)]
                checks += description.notes.map { HealthCheck(.note, "broker", $0) }
                let batches = try await client.batches()
                let open = batches.count { !$0.status.isFinal }
                checks.append(
                    HealthCheck(.ok, "batches", "\(batches.count), \(open) of them have not ended")
                )
                return checks
            }
        } catch {
            return [HealthCheck("broker \(session.settings.broker)", failed: error)]
        }
    }
}
