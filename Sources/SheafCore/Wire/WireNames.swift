/// The names of a namespace's queues, logs and locks; all of them start with the namespace.
package struct WireNames: Sendable, Hashable {
    /// The prefix of all names.
    package let namespace: Name

    /// Creates the names of a namespace; the default namespace is `sheaf`.
    package init(namespace: Name? = nil) {
        self.namespace = namespace ?? "sheaf"
    }

    /// Returns the queue of a batch's tasks in one generation.
    package func tasks(flow: Name, batch: Name, generation: Int) -> String {
        "\(namespace).tasks.\(flow).\(batch).\(generation)"
    }

    /// Returns the queue of the tasks after a batch's pilot.
    package func restOfTasks(flow: Name, batch: Name) -> String { "\(namespace).tasks.\(flow).\(batch).rest" }

    /// Returns one of the queues of a batch's tasks.
    package func tasks(flow: Name, batch: Name, queue: TaskQueue) -> String {
        switch queue {
        case .generation(let generation): tasks(flow: flow, batch: batch, generation: generation)
        case .rest: restOfTasks(flow: flow, batch: batch)
        }
    }

    /// Returns the queue of a flow's tasks that were returned too often.
    package func suspects(flow: Name) -> String { "\(namespace).suspects.\(flow)" }

    /// The log of dead letters: poison tasks and unreadable messages.
    package var dead: String { "\(namespace).dead" }

    /// Returns the log of a batch's starts, outcomes and questions.
    package func results(batch: Name) -> String { "\(namespace).results.\(batch)" }

    /// The topic to which outcomes and the ends of batches are copied.
    package var outcomes: String { "\(namespace).results" }

    /// The log of events that concern batches as a whole.
    package var journal: String { "\(namespace).journal" }

    /// The bounded log of journal checkpoints, so that the journal need not be read from its start.
    package var checkpoints: String { "\(namespace).checkpoints" }

    /// The bounded log of the aggregator's progress reports.
    package var progress: String { "\(namespace).progress" }

    /// The bounded log of worker heartbeats.
    package var heartbeats: String { "\(namespace).heartbeats" }

    /// Returns the queue of a batch's permits from a generation on; each permit allows one running task.
    package func permits(batch: Name, generation: Int) -> String { "\(namespace).permits.\(batch).\(generation)" }

    /// The bounded log of shared rate limits: their rates, and the pauses that services asked for.
    package var limits: String { "\(namespace).limits" }

    /// The bounded log of submissions: what happened to the jobs that providers run for bulk flows.
    package var submissions: String { "\(namespace).submissions" }

    /// Returns one of the logs of the requests that a dispatcher puts into batches; they are numbered from 1.
    package func requests(_ dispatcher: Name, log: Int) -> String { "\(namespace).requests.\(dispatcher).\(log)" }

    /// Returns the log of what a dispatcher has decided: its logs of requests, and which of them are in which batch.
    package func dispatch(_ dispatcher: Name) -> String { "\(namespace).dispatch.\(dispatcher)" }

    /// Returns the lock of the process that decides for a dispatcher.
    package func dispatchingLock(_ dispatcher: Name) -> String { "\(namespace).lock.dispatching.\(dispatcher)" }

    /// Returns the queue of a rate's tokens; each token allows one call.
    package func tokens(_ key: RateLimitKey, nonce: String) -> String { "\(namespace).tokens.\(key.text).\(nonce)" }

    /// Returns the queue in which spent tokens wait until they are available again.
    package func spentTokens(_ key: RateLimitKey, nonce: String) -> String { "\(namespace).spent.\(key.text).\(nonce)" }

    /// The lock of the aggregator.
    package var aggregatorLock: String { "\(namespace).lock.aggregator" }

    /// Returns the lock that a worker holds while it is alive, by the worker's random id.
    package func workerLock(_ id: String) -> String { "\(namespace).lock.worker.\(id)" }

    /// Returns the lock of the process that publishes a batch's tasks: its creator, and later a retry.
    package func creatingLock(batch: Name) -> String { "\(namespace).lock.creating.\(batch)" }
}
