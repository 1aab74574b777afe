public import SheafCore

/// A request that Sheaf cannot carry out, for a reason other than the broker.
public struct SheafError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The kind of an error.
    public struct Code: Sendable, Hashable {
        private enum Value {
            case notFound, alreadyExists, alreadyFinished, cancelled, timedOut, invalid, interrupted, notNow
        }
        private let value: Value

        private init(_ value: Value) { self.value = value }

        /// The batch, task, question or dead letter does not exist.
        public static let notFound = Code(.notFound)
        /// A batch with that id exists, or another process is creating it.
        public static let alreadyExists = Code(.alreadyExists)
        /// The batch has ended, or the question has an answer.
        public static let alreadyFinished = Code(.alreadyFinished)
        /// The batch was cancelled.
        public static let cancelled = Code(.cancelled)
        /// The operation took longer than allowed.
        public static let timedOut = Code(.timedOut)
        /// The request is invalid.
        public static let invalid = Code(.invalid)
        /// The batch cannot finish by itself: its creator died before everything was published, or tasks were lost.
        public static let interrupted = Code(.interrupted)
        /// The current state of the batch does not allow the operation; ``SheafError/advice`` names what to do first.
        public static let notNow = Code(.notNow)
    }

    /// The kind.
    public let code: Code
    /// What failed and why, as one line of English; never quotes a command.
    public let message: String
    /// What the caller can do about it, or nil if there is nothing more to say.
    ///
    /// The program that shows the error puts it into words: a command quotes a command line, a server names a request.
    public let advice: Advice?

    /// Creates an error.
    package init(_ code: Code, _ message: String, advice: Advice? = nil) {
        self.code = code
        self.message = message
        self.advice = advice
    }

    /// The message.
    public var description: String { message }
}

/// A next step for the person or program that got an error or looks at a batch that cannot go on.
public enum Advice: Sendable, Hashable {
    /// Create a batch: there is none yet.
    case createBatch
    /// Create the batch as an interactive one, so that its tasks can ask questions.
    case createInteractive
    /// Choose another id for the new batch, or let Sheaf generate one.
    case chooseAnotherID
    /// Look the id up in the list of batches.
    case listBatches
    /// Resume the creation of a batch whose creator is gone.
    case resumeCreation(Name)
    /// Resume a batch that is paused or that was stopped.
    case resumeBatch(Name)
    /// Cancel a batch, or force its deletion, because it has not ended.
    case cancelOrForceDeletion(Name)
    /// Delete a batch by force, and then create it again under another id.
    case forceDeletion(Name)
    /// Run the failed tasks of a batch again.
    case retryBatch(Name)
    /// Run one failed task of a batch again.
    case retryTask(Name, index: Int)
    /// Publish the tasks of a batch again that the broker lost.
    case retryMissing(Name)
    /// Wait for the tasks without an outcome, or publish them again by force, though some may then run twice.
    case forceRetryMissing(Name)
    /// Set the limit of running tasks of a batch again, and then resume the batch.
    case setMaxRunning(Name)
    /// Look the number up in the list of dead letters.
    case listDeadLetters
    /// Show what a dead letter holds.
    case showDeadLetter(Int64)
    /// Look the task up in the list of open questions.
    case listQuestions
    /// Look the submission up in the list of submissions.
    case listSubmissions
}

/// The stable words that the reason of a stop in the journal begins with if the broker has lost something.
package enum LossReason: String, CaseIterable {
    /// A task queue was lost, and with it the tasks that waited in it.
    case queue = "queue-lost"
    /// The queue of the permits that limit the running tasks was lost.
    case permits = "permits-lost"
    /// The results log was lost, and with it the outcomes.
    case results = "results-lost"

    /// Finds the word that a reason begins with; returns nil if the reason is another one.
    package init?(reason: String) {
        guard let word = Self.allCases.first(where: { reason.hasPrefix($0.rawValue) }) else { return nil }
        self = word
    }
}

extension BatchInfo {
    /// What lets the batch go on if it was stopped because the broker lost a part of it; nil otherwise.
    package var stopAdvice: Advice? {
        guard let stopped, let loss = LossReason(reason: stopped.reason) else { return nil }
        return switch loss {
        case .queue: .retryMissing(id)
        case .permits: .setMaxRunning(id)
        case .results: .forceDeletion(id)
        }
    }
}
