import Logging
import SheafCore
import SheafFlows

/// Reads the results of submissions that have ended, and reports them.
struct SubmissionResults {
    let provider: any BatchProvider
    let pace: SubmissionPace
    let logger: Logger
    let tasks: OpenTasks

    /// Reports the results of a submission; reads them again if some seem to be missing.
    ///
    /// - Returns: How many requests have a result, and the usage of those that were read now.
    func collect(_ state: SubmissionState, _ key: String) async throws -> (answered: Int, usage: Usage) {
        var tries = 0
        var usage = Usage()
        while true {
            var (answered, problem) = (0, "")
            do {
                let counts = try await provider.read(state) { row in
                    if case .notRun = row.content { return }
                    if await report(row, key, adding: &usage) { answered += 1 }
                }
                if counts.damaged == 0, counts.rows >= state.counted { return (answered, usage) }
                problem = "\(counts.rows) of \(state.counted) results, \(counts.damaged) lines that are none"
                if tries + 1 >= pace.tries, counts.rows > 0 || counts.damaged == 0 {
                    logger.warning("submission \(state.id) has \(problem)")
                    return (answered, usage)
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
    private func report(_ row: BatchRow, _ key: String, adding usage: inout Usage) async -> Bool {
        let isAdopted = SubmissionMemo.isAdopted(key)
        // An adopted submission may have requests that are tasks of other bulks.
        guard let index = isAdopted ? tasks.index(ofRecord: row.id) : SubmissionMemo.index(of: row.id, key) else {
            return false
        }
        guard tasks.contains(index) else { return true }
        let result: Result<FlowOutput, FlowError>
        do throws(FlowError) {
            let task = try tasks.task(index)
            result = provider.result(of: row, for: task)
            if isAdopted, task.adopted?.isRetry == true, case .failure = result { return false }
        } catch {
            result = .failure(error)
        }
        if case .success(let output) = result { usage += output.usage }
        await tasks.end(index, result)
        return true
    }
}
