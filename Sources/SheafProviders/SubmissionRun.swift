import Logging
import SheafCore
import SheafFlows

/// One run of a bulk: submits its tasks, or finds their submission, and waits for its end.
///
/// The order is: memo with our key, preparation (an upload), memo with the preparation, creation, memo with the
/// provider's id, results. So a submission without an id in its memo may exist only if it was prepared.
final class SubmissionRun {
    typealias Remember = @Sendable (BulkMemo) async throws -> Void

    /// What a run works with.
    struct Surroundings {
        let provider: any BatchProvider
        let pace: SubmissionPace
        let logger: Logger
        /// How many tokens of input the provider accepts in all submissions that have not ended.
        let tokens: Int?
        let context: SubmissionContext
        let remember: Remember
    }

    private let provider: any BatchProvider
    private let pace: SubmissionPace
    private let logger: Logger
    private let quota: Int?
    private let context: SubmissionContext
    private let remember: Remember
    private let tasks: OpenTasks
    private let isResumed: Bool
    private var memo: SubmissionMemo

    init(_ surroundings: Surroundings, _ tasks: OpenTasks, _ memo: BulkMemo?) throws {
        provider = surroundings.provider
        if let memo {
            guard let known = SubmissionMemo(memo) else {
                throw FlowThrottle(message: "the submission was made by another version of Sheaf; run that version")
            }
            guard known.address == provider.address else {
                throw FlowThrottle(
                    message: """
                        the submission was made at \(known.address), but the flow now asks \(provider.address); set \
                        base_url to the former address, or cancel the batch
                        """
                )
            }
            self.memo = known
        } else {
            self.memo = SubmissionMemo(address: provider.address)
        }
        isResumed = memo != nil
        pace = surroundings.pace
        logger = surroundings.logger
        quota = surroundings.tokens
        context = surroundings.context
        remember = surroundings.remember
        self.tasks = tasks
    }

    func run() async throws {
        if isResumed {
            await recordStanding()
            for earlier in memo.earlier { try await recollect(earlier) }
        } else if let adopted = tasks.adopted {
            memo.adopt(adopted.id, requests: tasks.count)
            try await store()
            await recordStanding()
        }
        while !tasks.isEmpty {
            if memo.id == nil { try await submit() }
            // Without an id, no task could be a request.
            guard let id = memo.id else { return }
            do {
                try await follow(id)
            } catch let error as FlowError where isRetryOfAdopted && Self.goneTypes.contains(error.type) {
                memo.renew(keepingResults: false)
            }
        }
    }

    private static let goneTypes = ["submission-gone", "results-gone"]

    /// Whether all that is wanted of an adopted submission is results of tasks that it has failed before.
    private var isRetryOfAdopted: Bool { memo.isAdopted && tasks.areRetries }

    /// Whether the tasks have waited long enough for the provider.
    private var isLate: Bool { context.liveAt.map { .now >= $0 } ?? false }

    /// Waits, but not longer than until the tasks have waited long enough.
    private func pause(_ time: Duration) async throws {
        let left = context.liveAt.map { ContinuousClock.now.duration(to: $0) } ?? .zero
        try await Task.sleep(for: left > .zero ? min(time, left) : time)
    }

    private var name: String { "submission \(memo.id ?? memo.key)" }

    private func store() async throws { try await remember(memo.bulkMemo) }

    private func record(_ event: SubmissionEntry.Event) async {
        await context.recorder?.record(event, of: memo.key)
    }

    /// Records why the submission waits, unless that is known.
    private func recordWaiting(_ reason: String) async {
        if await context.recorder?.submission(memo.key)?.message == reason { return }
        await record(.waiting(reason))
    }

    /// Records how far the submission is, for a log that may know another worker or nothing.
    private func recordStanding() async {
        await record(.announced(address: memo.address))
        if let preparation = memo.preparation { await recordPreparation(preparation) }
        if let id = memo.id { await record(.created(id: id, requests: memo.requests)) }
    }

    private func recordPreparation(_ preparation: Preparation) async {
        // Without a handle, the preparation is about another submission.
        await record(.uploaded(file: provider.hasHandle ? preparation.id : nil, requests: memo.requests))
    }

    // MARK: Submitting

    private func submit() async throws {
        if let preparation = memo.preparation {
            if let decision = await context.recorder?.submission(memo.key)?.resolution {
                return try await obey(decision)
            }
            if let found = try await find(preparation) { return try await adopt(found) }
            if isLate {
                await record(.dropped)
                await removeRequests()
                throw BulkRemainder()
            }
            if provider.hasHandle { return try await create(preparation, nil) }
            // Its requests were in the memory of a worker that is gone.
            logger.warning("\(name) was not created at \(memo.address), so its requests are submitted again")
            await record(.dropped)
            memo.renew(keepingResults: false)
        }
        if isLate { throw BulkRemainder() }
        try await store()
        await record(.announced(address: memo.address))
        let writer = RequestWriter(provider: provider, key: memo.key, tokens: quota)
        guard let requests = try await writer.write(tasks) else { return await record(.dropped) }
        try await waitForRoom(requests)
        let preparation = try await prepare(requests)
        (memo.preparation, memo.requests) = (preparation, requests.count)
        try await store()
        await recordPreparation(preparation)
        try await create(preparation, requests)
    }

    /// Waits until the provider accepts so many tokens more, if the flow has a limit for them.
    ///
    /// The log of submissions says in which order they wait, whichever worker has them.
    private func waitForRoom(_ requests: BatchRequests) async throws {
        guard let quota, let recorder = context.recorder else { return }
        await record(.reserved(tokens: requests.tokens, model: requests.model))
        while let ahead = await recorder.tokens(before: memo.key), ahead > 0, ahead + requests.tokens > quota {
            if isLate {
                await record(.dropped)
                throw BulkRemainder()
            }
            let reason = """
                it waits for other submissions: they have about \(ahead) tokens, it has \(requests.tokens), and \
                max_enqueued_tokens is \(quota)
                """
            await recordWaiting(reason)
            logger.debug("\(name): \(reason)")
            try await pause(pace.longest)
        }
    }

    /// Prepares the submission; that costs nothing, so it is simply tried again, and never a failure of its tasks
    /// unless the provider says so.
    private func prepare(_ requests: BatchRequests) async throws -> Preparation {
        var tries = 0
        while true {
            do {
                return try await provider.prepare(requests, key: memo.key)
            } catch ProviderFailure.refused(let error), ProviderFailure.absent(let error) {
                await record(.refused(error.message))
                throw error
            } catch ProviderFailure.later(let throttle) {
                await recordWaiting(throttle.message)
                throw throttle
            } catch ProviderFailure.unclear(let error) {
                tries += 1
                if tries >= pace.tries {
                    await recordWaiting(error.message)
                    throw FlowThrottle(message: error.message)
                }
                logger.info("\(name): its preparation is tried again: \(error.message)")
                try await Task.sleep(for: pace.pause(after: tries))
            }
        }
    }

    /// Creates the submission; if that has no clear answer, it is created again only if it is not found.
    private func create(_ preparation: Preparation, _ requests: BatchRequests?) async throws {
        var tries = 0
        while true {
            do {
                return try await adopt(provider.create(preparation, requests, key: memo.key, batch: tasks.batch))
            } catch ProviderFailure.refused(let error), ProviderFailure.absent(let error) {
                await record(.refused(error.message))
                await removeRequests()
                throw error
            } catch ProviderFailure.later(let throttle) {
                await recordWaiting(throttle.message)
                if !provider.hasHandle {
                    // Nothing was created, and to find that out later would take long.
                    await record(.dropped)
                    memo.renew(keepingResults: false)
                    try await store()
                }
                throw throttle
            } catch ProviderFailure.unclear(let error) {
                tries += 1
                logger.info("\(name): it is unclear whether it was accepted, so it is looked for: \(error.message)")
                if tries >= pace.tries { throw await unclear(error.message) }
                if let found = try await find(preparation) { return try await adopt(found) }
                logger.warning("\(name) was not created at \(memo.address), so it is created again")
            }
        }
    }

    /// Looks for a submission several times, since it may appear late in the provider's list.
    ///
    /// - Returns: The submission; nil if it does not exist.
    /// - Throws: ``FlowThrottle`` if that cannot be decided yet.
    private func find(_ preparation: Preparation) async throws -> SubmissionState? {
        for pause in provider.hasHandle ? pace.looks : pace.looksWithoutHandle {
            try await Task.sleep(for: pause)
            let found: SubmissionMatches
            do {
                found = try await provider.find(preparation, key: memo.key, requests: memo.requests)
            } catch let failure as ProviderFailure {
                throw await unclear(failure.message)
            }
            guard let first = found.certain.first(where: \.phase.isAccepted) ?? found.certain.first else {
                if found.possible.isEmpty { continue }
                throw await undecided(found.possible)
            }
            for twin in found.certain where twin.id != first.id && twin.phase == .running {
                logger.warning("\(name) exists twice at \(memo.address); \(twin.id) is cancelled")
                try? await provider.cancel(twin.id)
            }
            logger.info("\(name) was found as \(first.id) at \(memo.address)")
            return first
        }
        return nil
    }

    /// Records why the submission is unclear, unless that is known.
    private func recordUnclear(_ reason: String) async {
        let known = await context.recorder?.submission(memo.key)
        if known.map({ ($0.state, $0.message) != (.unclear, reason) }) ?? true { await record(.unclear(reason)) }
    }

    private func unclear(_ reason: String) async -> FlowThrottle {
        await recordUnclear(reason)
        return own("\(name) may have been accepted, so it is looked for again later: \(reason)")
    }

    /// Does what a user decided about the submission while it was unclear.
    private func obey(_ decision: Submission.Resolution) async throws {
        switch decision {
        case .created(let id):
            do {
                guard ProviderID.isValid(id) else {
                    throw ProviderFailure.refused(FlowError(type: "id", message: "it is not the id of a submission"))
                }
                try await adopt(provider.poll(id))
            } catch ProviderFailure.absent(let error), ProviderFailure.refused(let error) {
                let reason = "it was decided that it is \(id), which cannot be used: \(error.message)"
                await record(.rejected(reason))
                throw own("\(name): \(reason)")
            } catch let failure as ProviderFailure {
                throw await unclear(failure.message)
            }
        case .notCreated:
            logger.warning("\(name): it was decided that it was not created, so its requests are submitted again")
            await record(.dropped)
            await removeRequests()
            memo.renew(keepingResults: false)
            try await submit()
        }
    }

    private func undecided(_ possible: [SubmissionState]) async -> FlowThrottle {
        let ids = possible.map(\.id).joined(separator: ", ")
        await recordUnclear("it may be one of \(ids)")
        return own(
            """
            \(name) with \(memo.requests) requests is unclear: its creation at \(memo.address) was not confirmed, and \
            it may be one of \(ids). Its tasks wait until these have ended and their results tell, or until it is \
            decided which one it is
            """
        )
    }

    /// A pause for these tasks only.
    private func own(_ message: String) -> FlowThrottle {
        var throttle = FlowThrottle(delay: pace.longest, message: message)
        throttle.isOwn = true
        return throttle
    }

    private func adopt(_ state: SubmissionState) async throws {
        memo.id = state.id
        try await store()
        await record(.created(id: state.id, requests: memo.requests))
        logger.info("\(name) has \(memo.requests) requests")
    }

    // MARK: Following

    /// Waits until the submission has ended, and reports its results.
    private func follow(_ id: String) async throws {
        var (pause, absences, counted, isCancelled) = (pace.first, 0, 0, false)
        while true {
            try await self.pause(pause)
            if !isCancelled, isLate {
                isCancelled = await cancel(id, "its tasks have waited long enough")
            } else if !isCancelled, let user = await context.recorder?.submission(memo.key)?.cancelledBy {
                isCancelled = await cancel(id, "\(user) wants it")
            }
            pause = min(pause * 3 / 2, pace.longest)
            do {
                let state = try await provider.poll(id)
                absences = 0
                if state.phase == .running {
                    if state.counted != counted { await record(.counted(state.counted)) }
                    counted = state.counted
                    pause = max(pause, min(state.retryAfter ?? .zero, .seconds(600)))
                    continue
                }
                return try await finish(state)
            } catch ProviderFailure.absent(let error) {
                absences += 1
                if absences < pace.tries { continue }
                await record(.lost(error.message))
                throw FlowError(
                    type: "submission-gone",
                    message: "\(name) does not exist any longer; its requests may have been paid for: \(error.message)"
                )
            } catch let failure as ProviderFailure {
                // It is paid for, so no failure ends the wait.
                if case .later(let throttle) = failure, let delay = throttle.delay { pause = max(pause, delay) }
                logger.warning("\(name): its state is unknown for now: \(failure.message)")
            }
        }
    }

    /// Asks the provider to end the submission; returns whether that needs no repetition.
    private func cancel(_ id: String, _ reason: String) async -> Bool {
        do {
            try await provider.cancel(id)
            logger.info("\(name) is cancelled: \(reason)")
            return true
        } catch ProviderFailure.absent, ProviderFailure.refused {
            // It has ended already.
            return true
        } catch {
            logger.warning("\(name) cannot be cancelled for now: \((error as? ProviderFailure)?.message ?? "\(error)")")
            return false
        }
    }

    private func finish(_ state: SubmissionState) async throws {
        // The last result may let the worker leave, so nothing that has to be done comes after it.
        await removeRequests()
        let (answered, usage) = try await results.collect(state, memo.key)
        let requests = memo.requests
        switch state.phase {
        case .refusedForNow(let reason):
            await record(.refused(reason))
            let message = "\(name) was refused for now: \(reason)"
            memo.renew(keepingResults: answered > 0)
            try await store()
            throw FlowThrottle(message: message)
        case .refused(let reason):
            await record(.refused(reason))
            if isRetryOfAdopted { return memo.renew(keepingResults: false) }
            throw FlowError(type: "submission-failed", message: "\(name) was refused: \(reason)")
        case .running, .ended:
            await record(.ended(answered: answered, missing: max(0, requests - answered), usage: usage))
            if tasks.isEmpty { return }
            if isLate || memo.earlier.count + 1 >= SubmissionMemo.maximumEarlier { throw BulkRemainder() }
            memo.misses = answered < requests && !memo.isAdopted ? memo.misses + 1 : 0
            if memo.misses >= pace.misses {
                throw FlowError(
                    type: "not-run",
                    message: "\(name) ended without a result for the request",
                    isRetryable: true
                )
            }
            if answered < requests {
                logger.info("\(name): \(requests - answered) requests have no result and are submitted again")
            }
            memo.renew(keepingResults: true)
        }
    }

    /// Deletes the uploaded requests, which only the provider needs, and only until the submission has ended.
    private func removeRequests() async {
        guard let preparation = memo.preparation else { return }
        do {
            try await provider.remove(preparation)
        } catch {
            logger.debug("\(name): cannot delete its file \(preparation.id): \(error)")
        }
    }

    // MARK: Results

    private var results: SubmissionResults {
        SubmissionResults(provider: provider, pace: pace, logger: logger, tasks: tasks)
    }

    /// Reads the results of an earlier submission again: they may not have been stored before its worker died.
    private func recollect(_ earlier: SubmissionMemo.Earlier) async throws {
        do {
            _ = try await results.collect(provider.poll(earlier.id), earlier.key)
        } catch ProviderFailure.absent(let error) {
            logger.warning("submission \(earlier.id) does not exist any longer: \(error.message)")
        } catch let failure as ProviderFailure {
            throw FlowThrottle(message: "cannot read submission \(earlier.id) again: \(failure.message)")
        }
    }
}

extension SubmissionState.Phase {
    /// Whether the requests run or have run.
    fileprivate var isAccepted: Bool { self == .running || self == .ended }
}
