/// One of the queues in which the tasks of a batch wait.
package enum TaskQueue: Sendable, Hashable {
    /// The queue of a generation; the first one also holds the tasks of a pilot.
    case generation(Int)
    /// The queue of the tasks after the pilot; workers take nothing from it until the pilot is over.
    ///
    /// A task that is published again, as for another attempt, goes to the queue of its generation.
    case rest
}
