// The examples of docs/from-nagents.md, which quotes them word for word.
import SheafBatchKit

// example: begin
func summarize(with model: BatchModel) async throws -> [BatchResult] {
    try await BatchManager.withManager(model: model) { manager in
        // Create the requests.
        let texts = ["AI is transforming...", "Machine learning...", "Neural networks..."]
        let requests = texts.enumerated().map { number, text in
            BatchRequest(
                id: "req-\(number + 1)",
                messages: [["role": "user", "content": .string("Summarize: \(text)")]]
            )
        }
        // Submit the job.
        let job = try await manager.submit(requests)
        print("Job ID: \(job.id)")
        // Look at its status.
        print("Status: \(try await manager.status(of: job.id))")
        // Wait for its end, and get the results.
        _ = try await manager.wait(for: job.id)
        let results = try await manager.results(of: job.id)
        for result in results { print("\(result.id): \(result.response?.prefix(100) ?? "")...") }
        return results
    }
}
// example: end

// example: begin
func poll(_ job: BatchJob, of manager: BatchManager, every interval: Duration) async throws -> [BatchResult] {
    polling: while true {
        switch try await manager.status(of: job.id) {
        case .completed:
            print("Job completed!")
            break polling
        case .failed:
            throw FlowError(type: "job-failed", message: "job \(job.id) failed")
        case .cancelled:
            print("Job was cancelled")
            break polling
        case let status:
            print("Status: \(status), waiting...")
            try await Task.sleep(for: interval)
        }
    }
    return try await manager.results(of: job.id)
}
// example: end

// example: begin
/// Submits requests and leaves: the folder keeps the job.
func submit(_ requests: [BatchRequest], to model: BatchModel, store folder: String) async throws -> Name {
    try await BatchManager.withManager(model: model, store: .embedded(directory: folder)) { manager in
        try await manager.submit(requests).id
    }
}

/// Gets the results later, in another process: the manager goes on with every job that has not ended.
func results(of job: Name, from model: BatchModel, store folder: String) async throws -> [BatchResult] {
    try await BatchManager.withManager(model: model, store: .embedded(directory: folder)) { manager in
        _ = try await manager.wait(for: job)
        return try await manager.results(of: job)
    }
}
// example: end

// example: begin
func submitAndCancel(_ requests: [BatchRequest], with manager: BatchManager) async throws -> BatchStatus {
    let job = try await manager.submit(requests)
    try await manager.cancel(job.id)
    let status = try await manager.status(of: job.id)
    assert(status == .cancelled)
    return status
}
// example: end

// example: begin
func report(_ results: [BatchResult]) -> (succeeded: Int, failed: Int) {
    var (succeeded, failed) = (0, 0)
    for result in results {
        if let error = result.error {
            failed += 1
            print("Request \(result.id) failed: \(error.type): \(error.message)")
        } else {
            succeeded += 1
            print("Request \(result.id): \(result.response?.prefix(50) ?? "")...")
        }
    }
    print("Summary: \(succeeded) succeeded, \(failed) failed")
    return (succeeded, failed)
}
// example: end
