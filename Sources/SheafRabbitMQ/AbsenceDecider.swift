import AMQPClient
import SheafBroker

/// Decides from repeated looks whether a queue or log is missing, so that `notFound` and `queueGone` are certain.
///
/// RabbitMQ reports existing queues as unreachable in three situations, measured with 3.10.8:
/// - In the first seconds after a start it refuses a queue with 404 "home node … is down or inaccessible", or a stream
///   with 406 "no replica"; a message for it is returned with 312 NO_ROUTE.
/// - While it stops, it returns messages and cancels consumers before it closes connections.
/// - It cancels a consumer whose acknowledgement is late (from 4.3 on) or whose replica went down.
///
/// Only 404 "no queue" comes from the list of queues itself. So every other sign leads to a passive declaration, which
/// is repeated until its answer can be trusted. The decider is pure: the caller passes the looks and the time.
struct AbsenceDecider {
    /// What a passive declaration, or the error of another call, shows.
    enum Look: Equatable {
        /// The queue exists and is available.
        case present
        /// The broker's list of queues does not contain the name.
        case missing
        /// The queue exists but is not available yet.
        case unavailable
    }

    /// What made the caller suspect that the queue is missing.
    enum Suspicion: Equatable {
        /// A refusal, which is a look itself.
        case refused(Look)
        /// A message was returned without a route.
        case returned
        /// The broker ended a consumer.
        case consumerCancelled
    }

    /// What to do after a look.
    enum Verdict: Equatable {
        case present, missing
        case lookAgain(after: Duration)
        /// The queue is still not available, or it is still not certain whether it exists, and waiting is over.
        case unavailable
    }

    /// How long an unavailable queue is waited for, and how long a new connection after a loss is not trusted.
    static let patience = Duration.seconds(10)
    /// How long a broker that stops may need to close its connections, and one that deletes a queue to finish.
    static let secondLook = Duration.seconds(1)
    private static let pause = Duration.milliseconds(200)

    private let suspicion: Suspicion
    private let start: ContinuousClock.Instant
    private let mayWait: Bool
    private var missingSince: ContinuousClock.Instant?

    /// Creates a decider.
    ///
    /// - Parameters:
    ///   - suspicion: What made the caller suspect that the queue is missing.
    ///   - start: When.
    ///   - mayWait: Whether it may look again; if not, what is uncertain at the first look counts as unavailable.
    init(_ suspicion: Suspicion, at start: ContinuousClock.Instant, mayWait: Bool = true) {
        self.suspicion = suspicion
        self.start = start
        self.mayWait = mayWait
    }

    /// Decides after a look.
    ///
    /// - Parameters:
    ///   - look: What the broker answered.
    ///   - now: When it answered.
    ///   - trusted: From when on the broker is trusted to know all queues; see ``ConnectionSlot/trustedFrom``.
    mutating func decide(
        _ look: Look,
        at now: ContinuousClock.Instant,
        trusted: ContinuousClock.Instant
    ) -> Verdict {
        switch look {
        case .present:
            missingSince = nil
            // A consumer is cancelled before its queue is deleted.
            let isEarly = suspicion == .consumerCancelled && now - start < Self.secondLook
            return isEarly ? .lookAgain(after: Self.pause) : .present
        case .unavailable:
            missingSince = nil
            return mayWait && now - start < Self.patience ? .lookAgain(after: Self.pause) : .unavailable
        case .missing:
            let since = missingSince ?? now
            missingSince = since
            let isRefused = if case .refused = suspicion { true } else { false }
            let certain = max(trusted, isRefused ? since : since + Self.secondLook)
            if now >= certain { return .missing }
            return mayWait ? .lookAgain(after: min(certain - now, Self.secondLook)) : .unavailable
        }
    }
}

extension AMQPError {
    /// What this error suggests about the queue of the call, or nil if it has nothing to do with its existence.
    var suspicion: AbsenceDecider.Suspicion? {
        switch code {
        case .returned: .returned
        case .consumerCancelled: .consumerCancelled
        default: look.map { .refused($0) }
        }
    }

    /// What a refusal shows about the queue; only the text distinguishes a missing queue from one that is starting.
    private var look: AbsenceDecider.Look? {
        if isReply(404) {
            if message.contains("no exchange '") { return nil }
            return message.contains("no queue '") ? .missing : .unavailable
        }
        return isReply(406) && message.contains("replica") ? .unavailable : nil
    }
}

extension RabbitMQBroker {
    /// Runs a call on a queue or log, and throws `notFound` only if that certainly does not exist.
    ///
    /// If the broker refuses the call although the queue exists, because it is starting for example, the call is
    /// repeated.
    /// - Parameters:
    ///   - action: What is attempted, for error messages.
    ///   - name: The queue or log.
    ///   - isRepeatable: Whether the call may run again although it may have had an effect.
    ///   - mayWait: Whether the call may wait for a queue that is not available; if not, it throws `timedOut` at once.
    func perform<Value>(
        _ action: @autoclosure () -> String,
        on name: String,
        isRepeatable: Bool = true,
        mayWait: Bool = true,
        _ body: () async throws -> Value
    ) async throws -> Value {
        let start = ContinuousClock.now
        while true {
            do {
                return try await body()
            } catch {
                guard let error = error as? AMQPError, let suspicion = error.suspicion, !isClosed(error) else {
                    throw mapped(error, action())
                }
                guard try await exists(name, suspicion, mayWait: mayWait) else {
                    throw BrokerError(.notFound, "\(action()): \(error.message)", underlying: error)
                }
                guard isRepeatable, .now - start < AbsenceDecider.patience else {
                    let message = "\(action()): \(error.message); now '\(name)' is available"
                    throw BrokerError(.timedOut, message, underlying: error)
                }
                try await Task.sleep(for: .milliseconds(50))
            }
        }
    }

    /// Returns the error that ends a consumer or a reader.
    func ending(_ error: AMQPError, of name: String, _ action: String) async -> any Error {
        if isClosed(error) { return closedError }
        guard let suspicion = error.suspicion else { return BrokerError.ending(error, action) }
        do {
            if try await !exists(name, suspicion) {
                return BrokerError(.queueGone, "\(action): \(error.message)", underlying: error)
            }
            let message = "\(action): \(error.message), but '\(name)' exists"
            return BrokerError(.connectionLost, message, underlying: error)
        } catch let error as BrokerError where error.code == .closed {
            return error
        } catch {
            // The next attempt to consume will report what is wrong.
            return BrokerError.ending(error, action)
        }
    }

    /// Returns whether a queue or log exists, once that is certain.
    ///
    /// Throws `timedOut` if it stays unavailable, and the error of the connection if that is lost.
    private func exists(
        _ name: String,
        _ suspicion: AbsenceDecider.Suspicion,
        mayWait: Bool = true
    ) async throws -> Bool {
        var decider = AbsenceDecider(suspicion, at: .now, mayWait: mayWait)
        var look: AbsenceDecider.Look
        if case .refused(let first) = suspicion { look = first } else { look = try await self.look(for: name) }
        while true {
            switch decider.decide(look, at: .now, trusted: max(await control.trustedFrom, await consuming.trustedFrom))
            {
            case .present: return true
            case .missing: return false
            case .unavailable:
                let waited = mayWait ? "after \(AbsenceDecider.patience)" : "at the moment"
                throw BrokerError(.timedOut, "'\(name)' is not available \(waited)")
            case .lookAgain(let pause):
                try await Task.sleep(for: pause)
                look = try await self.look(for: name)
            }
        }
    }

    private func look(for name: String) async throws -> AbsenceDecider.Look {
        try await perform("looking for '\(name)'") {
            do {
                _ = try await control.withChannel { try await $0.declareQueue(name, passive: true) }
                return .present
            } catch let error as AMQPError {
                if case .refused(let look) = error.suspicion { return look }
                // Another connection uses it exclusively.
                if error.isReply(405) { return .present }
                throw error
            }
        }
    }
}
