import Sheaf

extension WorkerReport {
    /// What two workers did one after the other; what is left over is as the later one saw it.
    static func + (earlier: WorkerReport, later: WorkerReport) -> WorkerReport {
        var sum = later
        sum.succeeded += earlier.succeeded
        sum.failed += earlier.failed
        sum.retried += earlier.retried
        sum.returned += earlier.returned
        sum.broken += earlier.broken
        return sum
    }
}
