package import Logging
import SheafCore
package import SheafFlows
package import SystemPackage

/// Runs the tasks of a model flow as submissions to a provider's batch API.
///
/// The results are those of the model flow. If a worker dies at any time, the next one finds the submission by its
/// memo, so that no request is paid for twice.
package struct SubmissionFlow: SubmittingFlow, ExaminableFlow, LoggingFlow {
    /// How long ``discard(_:)`` tries.
    private static let discardTries = 3

    package let thresholds: SubmissionThresholds
    package let pace: SubmissionPace
    package var logger = Logger(label: "sheaf")
    private let provider: any BatchProvider

    /// Defines a flow.
    ///
    /// - Parameters:
    ///   - provider: The batch API.
    ///   - thresholds: When a submission starts.
    ///   - pace: How often submissions are looked at.
    package init(
        _ provider: any BatchProvider,
        thresholds: SubmissionThresholds = SubmissionThresholds(),
        pace: SubmissionPace
    ) {
        self.provider = provider
        self.thresholds = thresholds
        self.pace = pace
    }

    /// The flow that the requests are those of.
    package var modelFlow: any ModelFlow { provider.flow }

    package var maximumTasks: Int { min(thresholds.tasks ?? .max, provider.limits.requests) }
    package var maximumBytes: Int {
        min(provider.limits.bytes, thresholds.tokens.map { TokenEstimate.bytes(of: $0) } ?? .max)
    }
    package var maximumWait: Duration { thresholds.age }
    package var waitInterval: Duration { thresholds.interval }
    package var liveAge: Duration? { thresholds.liveAge }
    package var liveFlow: any Flow { provider.flow }

    package func run(
        _ tasks: BulkTasks,
        resuming memo: BulkMemo?,
        _ context: SubmissionContext,
        remember: @Sendable (BulkMemo) async throws -> Void,
        ended: @Sendable (Int, Result<FlowOutput, FlowError>) async -> Void
    ) async throws {
        try await withoutActuallyEscaping(remember) { remember in
            try await withoutActuallyEscaping(ended) { ended in
                let surroundings = SubmissionRun.Surroundings(
                    provider: provider,
                    pace: pace,
                    logger: logger,
                    tokens: thresholds.tokens,
                    context: context,
                    remember: remember
                )
                try await SubmissionRun(surroundings, OpenTasks(tasks, ended), memo).run()
            }
        }
    }

    package func discard(_ memo: BulkMemo, _ context: SubmissionContext) async {
        let recorder = context.recorder
        guard let memo = SubmissionMemo(memo), memo.address == provider.address, !memo.isAdopted else { return }
        guard let preparation = memo.preparation else {
            // Nothing was created.
            await recorder?.record(.dropped, of: memo.key)
            return
        }
        for attempt in 0..<Self.discardTries {
            do {
                var ids = [memo.id].compactMap { $0 }
                if ids.isEmpty {
                    let found = try await provider.find(preparation, key: memo.key, requests: memo.requests)
                    ids = found.certain.map(\.id)
                    if ids.isEmpty, !found.possible.isEmpty {
                        logger.warning(
                            """
                            submission \(memo.key) is not cancelled at \(memo.address): it is unclear whether it is one \
                            of \(found.possible.map(\.id).joined(separator: ", "))
                            """
                        )
                    }
                }
                for id in ids { try await provider.cancel(id) }
                if !ids.isEmpty { await recorder?.record(.discarded, of: memo.key) }
                return
            } catch ProviderFailure.absent, ProviderFailure.refused {
                // It has ended already.
                await recorder?.record(.discarded, of: memo.key)
                return
            } catch {
                logger.warning("cannot cancel submission \(memo.id ?? memo.key) of batch API \(memo.address): \(error)")
                try? await Task.sleep(for: pace.pause(after: attempt))
            }
        }
    }

    package func downloadRequests(of id: String, to file: FileDescriptor) async throws {
        guard let provider = provider as? any AdoptableProvider else {
            throw FlowError(type: "unsupported", message: "a submission to \(provider.address) cannot be adopted")
        }
        do {
            try await provider.downloadRequests(of: id, to: file)
        } catch let failure as ProviderFailure {
            throw FlowError(type: "unavailable", message: failure.message)
        }
    }

    package func examine() -> FlowExamination {
        FlowExamination(use: provider.use, problem: modelFlow.examine().problem)
    }

    package func shutDown() async { await provider.shutDown() }
}
