import Logging
import SheafCore
import SheafFlows

/// One run of a bulk: submits its tasks, or finds their submission, and reports the results.
///
/// The order is: memo with our key, preparation (an upload), memo with the preparation, creation, memo with the
/// provider's id, results. So a submission without an id in its memo may exist only if it was prepared.
final class SubmissionRun {
    typealias Remember = @Sendable (BulkMemo) async throws -> Void
    typealias Ended = @Sendable (Int, Result<FlowOutput, FlowError>) async -> Void

    private let provider: any BatchProvider
    private let pace: SubmissionPace
    private let logger: Logger
    private let tasks: [FlowTask]
    private let recorder: (any SubmissionRecorder)?
    private let remember: Remember
    private let ended: Ended
    private let isResumed: Bool
    private var memo: SubmissionMemo
    /// The positions of the tasks without a result, by index.
    private var open: [Int: Int]
    /// The indices of the tasks by the ids of their records, as an adopted submission names its requests.
    private lazy var indices = Dictionary(tasks.map { ($0.record.id, $0.index) }) { first, _ in first }
    /// The usage of the results that were read of the present submission.
    private var usage = Usage()

    init(
        _ provider: any BatchProvider,
        _ pace: SubmissionPace,
        _ logger: Logger,
        _ tasks: [FlowTask],
        _ memo: BulkMemo?,
        _ recorder: (any SubmissionRecorder)?,
        _ remember: @escaping Remember,
        _ ended: @escaping Ended
    ) throws {
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
        self.isResumed = memo != nil
        self.provider = provider
        self.pace = pace
        self.logger = logger
        self.tasks = tasks
        self.recorder = recorder
        self.remember = remember
        self.ended = ended
        self.open = Dictionary(tasks.enumerated().map { ($1.index, $0) }) { first, _ in first }
    }

    func run() async throws {
        if isResumed {
            await recordStanding()
            for earlier in memo.earlier { try await recollect(earlier) }
        } else if let adopted = tasks.first?.adopted {
            memo.adopt(adopted.id, requests: tasks.count)
            try await store()
            await recordStanding()
        }
        while !open.isEmpty {
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
    private var isRetryOfAdopted: Bool { memo.isAdopted && tasks.allSatisfy { $0.adopted?.isRetry == true } }

    private var name: String { "submission \(memo.id ?? memo.key)" }

    private func store() async throws { try await remember(memo.bulkMemo) }

    private func record(_ event: SubmissionEntry.Event) async { await recorder?.record(event, of: memo.key) }

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
            if let decision = await recorder?.submission(memo.key)?.resolution { return try await obey(decision) }
            if let found = try await find(preparation) { return try await adopt(found) }
            if provider.hasHandle { return try await create(preparation, nil) }
            // Its requests were in the memory of a worker that is gone.
            logger.warning("\(name) was not created at \(memo.address), so its requests are submitted again")
            await record(.dropped)
            memo.renew(keepingResults: false)
        }
        try await store()
        await record(.announced(address: memo.address))
        let writer = RequestWriter(provider: provider, key: memo.key)
        let waiting = open.sorted { $0.key < $1.key }.map { tasks[$0.value] }
        guard let requests = try await writer.write(waiting, failed: { await end($0.index, .failure($1)) }) else {
            return await record(.dropped)
        }
        let preparation = try await prepare(requests)
        (memo.preparation, memo.requests) = (preparation, requests.count)
        try await store()
        await recordPreparation(preparation)
        try await create(preparation, requests)
    }

    /// Prepares the submission; that costs nothing, so it is simply tried again.
    private func prepare(_ requests: BatchRequests) async throws -> Preparation {
        var tries = 0
        while true {
            do {
                return try await provider.prepare(requests, key: memo.key)
            } catch ProviderFailure.refused(let error), ProviderFailure.absent(let error) {
                await record(.refused(error.message))
                throw error
            } catch ProviderFailure.later(let throttle) {
                throw throttle
            } catch ProviderFailure.unclear(let error) {
                tries += 1
                if tries >= pace.tries {
                    await record(.refused(error.message))
                    throw error
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
                let batch = tasks.first?.batch ?? "none"
                return try await adopt(provider.create(preparation, requests, key: memo.key, batch: batch))
            } catch ProviderFailure.refused(let error), ProviderFailure.absent(let error) {
                await record(.refused(error.message))
                await removeRequests()
                throw error
            } catch ProviderFailure.later(let throttle) {
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
        if await recorder?.submission(memo.key).map({ ($0.state, $0.message) != (.unclear, reason) }) ?? true {
            await record(.unclear(reason))
        }
    }

    private func unclear(_ reason: String) async -> FlowThrottle {
        await recordUnclear(reason)
        return FlowThrottle(message: "\(name) may have been accepted, so it is looked for again later: \(reason)")
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
                throw FlowThrottle(message: "\(name): \(reason)")
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
        return FlowThrottle(
            delay: pace.longest,
            message: """
                \(name) with \(memo.requests) requests is unclear: its creation at \(memo.address) was not confirmed, \
                and it may be one of \(ids). Its tasks wait until these have \
                ended and their results tell, or until it is decided which one it is
                """
        )
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
            try await Task.sleep(for: pause)
            if !isCancelled, let user = await recorder?.submission(memo.key)?.cancelledBy {
                isCancelled = await cancel(id, for: user)
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

    /// Asks the provider to end the submission, because a user wants it; returns whether that needs no repetition.
    private func cancel(_ id: String, for user: String) async -> Bool {
        do {
            try await provider.cancel(id)
            logger.info("\(name) is cancelled for \(user)")
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
        let answered = try await collect(state, memo.key)
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
            if open.isEmpty { return }
            memo.misses = answered < requests && !memo.isAdopted ? memo.misses + 1 : 0
            if memo.misses >= pace.misses || memo.earlier.count + 1 >= SubmissionMemo.maximumEarlier {
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

    /// Reads the results of an earlier submission again: they may not have been stored before its worker died.
    private func recollect(_ earlier: SubmissionMemo.Earlier) async throws {
        do {
            _ = try await collect(provider.poll(earlier.id), earlier.key)
        } catch ProviderFailure.absent(let error) {
            logger.warning("submission \(earlier.id) does not exist any longer: \(error.message)")
        } catch let failure as ProviderFailure {
            throw FlowThrottle(message: "cannot read submission \(earlier.id) again: \(failure.message)")
        }
    }

    /// Reports the results of a submission; reads them again if some seem to be missing.
    ///
    /// - Returns: How many requests have a result.
    private func collect(_ state: SubmissionState, _ key: String) async throws -> Int {
        var tries = 0
        usage = Usage()
        while true {
            var (answered, problem) = (0, "")
            do {
                let counts = try await provider.read(state) { row in
                    if case .notRun = row.content { return }
                    if await self.report(row, key) { answered += 1 }
                }
                if counts.damaged == 0, counts.rows >= state.counted { return answered }
                problem = "\(counts.rows) of \(state.counted) results, \(counts.damaged) lines that are none"
                if tries + 1 >= pace.tries, counts.rows > 0 || counts.damaged == 0 {
                    logger.warning("submission \(state.id) has \(problem)")
                    return answered
                }
            } catch let error as CancellationError {
                throw error
            } catch ProviderFailure.absent(let error) where tries + 1 >= pace.tries {
                throw FlowError(
                    type: "results-gone",
                    message: "the results of submission \(state.id) do not exist any longer: \(error.message)"
                )
            } catch {
                problem = (error as? ProviderFailure)?.message ?? "\(error)"
            }
            tries += 1
            if tries >= pace.tries {
                // They are paid for, so they are not given up.
                throw FlowThrottle(message: "cannot read the results of submission \(state.id): \(problem)")
            }
            logger.info("submission \(state.id): its results are read again: \(problem)")
            try await Task.sleep(for: pace.pause(after: tries))
        }
    }

    /// Reports the result of a request; returns whether the request is one of these tasks.
    private func report(_ row: BatchRow, _ key: String) async -> Bool {
        let isAdopted = SubmissionMemo.isAdopted(key)
        // An adopted submission may have requests that are tasks of other bulks.
        guard let index = isAdopted ? indices[row.id] : SubmissionMemo.index(of: row.id, key) else { return false }
        guard let position = open[index] else { return true }
        let task = tasks[position]
        let result = provider.result(of: row, for: task)
        if isAdopted, task.adopted?.isRetry == true, case .failure = result { return false }
        if case .success(let output) = result { usage += output.usage }
        await end(index, result)
        return true
    }

    private func end(_ index: Int, _ result: Result<FlowOutput, FlowError>) async {
        guard let position = open.removeValue(forKey: index) else { return }
        await ended(position, result)
    }
}

extension SubmissionState.Phase {
    /// Whether the requests run or have run.
    fileprivate var isAccepted: Bool { self == .running || self == .ended }
}
