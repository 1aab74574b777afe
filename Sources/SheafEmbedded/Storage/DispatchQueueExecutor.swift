import Dispatch

/// Runs an actor on a serial dispatch queue, so that waiting for the disk never takes a thread of the cooperative pool.
final class DispatchQueueExecutor: SerialExecutor {
    /// The queue.
    let queue: DispatchQueue

    init(label: String) {
        self.queue = DispatchQueue(label: label, qos: .userInitiated)
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        queue.async { job.runSynchronously(on: self.asUnownedSerialExecutor()) }
    }

    func checkIsolated() {
        dispatchPrecondition(condition: .onQueue(queue))
    }
}
