import Dispatch

/// A queue of its own for reading, which blocks: the threads that tasks share are never held up by a disk or a pipe.
final class ReadingQueue: SerialExecutor {
    private let queue = DispatchQueue(label: "sheaf.sources")

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        queue.async { job.runSynchronously(on: self.asUnownedSerialExecutor()) }
    }
}
