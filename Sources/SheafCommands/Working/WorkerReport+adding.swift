import Sheaf

extension WorkerReport {
    /// What two workers did one after the other; what is left over is as this one, the later, saw it.
    func following(_ earlier: WorkerReport?) -> WorkerReport {
        guard let earlier else { return self }
        var sum = self
        sum.succeeded += earlier.succeeded
        sum.failed += earlier.failed
        sum.retried += earlier.retried
        sum.returned += earlier.returned
        sum.broken += earlier.broken
        return sum
    }
}
