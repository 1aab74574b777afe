import SheafCore
import SheafFlows

/// Writes the requests of a submission to a temporary file.
struct RequestWriter {
    let provider: any BatchProvider
    /// Our name of the submission, which the names of the requests begin with.
    let key: String

    /// Writes the requests of as many tasks as fit into a submission; returns nil if there are none.
    ///
    /// - Parameters:
    ///   - tasks: The tasks, in the order in which they are taken.
    ///   - failed: Is given each task that cannot be a request, and why.
    /// - Throws: ``FlowThrottle`` if the file cannot be written.
    func write(
        _ tasks: [FlowTask],
        failed: (FlowTask, FlowError) async -> Void
    ) async throws -> BatchRequests? {
        let (file, limits) = (try SpoolFile(), provider.limits)
        var writer = SpoolFile.Writer(file)
        var (model, inputs) = (String?.none, 0)
        for task in tasks {
            try Task.checkCancellation()
            let line: BatchLine
            do throws(FlowError) {
                line = try provider.encode(task, id: SubmissionMemo.requestID(key, task.index))
            } catch {
                await failed(task, error)
                continue
            }
            if line.bytes.count + 1 > limits.bytes || line.inputs > limits.inputs {
                let message = """
                    the request has \(line.bytes.count) bytes and \(line.inputs) inputs; a submission can have \
                    \(limits.bytes) bytes and \(limits.inputs) inputs
                    """
                await failed(task, FlowError(type: "request-too-large", message: message))
                continue
            }
            if let model, model != line.model { continue }
            if writer.lines >= limits.requests || inputs + line.inputs > limits.inputs
                || writer.size + line.bytes.count + 1 > limits.bytes
            {
                break
            }
            model = line.model
            inputs += line.inputs
            try writing { () throws in try writer.add(line.bytes) }
        }
        try writing { () throws in try writer.flush() }
        guard let model, writer.lines > 0 else { return nil }
        return BatchRequests(spool: file, size: writer.size, count: writer.lines, model: model)
    }

    private func writing(_ operation: () throws -> Void) throws {
        do {
            try operation()
        } catch {
            throw FlowThrottle(message: "cannot write the requests of a submission to a temporary file: \(error)")
        }
    }
}
