package import SheafBatches
import SheafBroker
import SheafCore
import SheafDispatch
import SheafFlows
import SheafSettings
import SheafSources
import SystemPackage

/// An error of the libraries as every program that talks to people reports it: a kind, a message and advice.
///
/// A command turns the kind into an exit code and the advice into a command line; a server turns them into a status
/// and a link.
package struct Problem: Error, Sendable, Equatable {
    /// The kind of a problem.
    package enum Kind: Sendable, Hashable, CaseIterable {
        /// The request is invalid, such as a wrong option.
        case usage
        /// The configuration is invalid.
        case configuration
        /// The input has no records, or records that cannot be read.
        case badData
        /// An input is missing or cannot be read.
        case noInput
        /// The batch, task, flow or message does not exist.
        case notFound
        /// The batch exists already, has ended already, or its state does not allow the request.
        case conflict
        /// The batch was cancelled.
        case cancelled
        /// A time limit has passed.
        case timedOut
        /// The batch cannot finish by itself.
        case interrupted
        /// The broker is unreachable or rejects the user.
        case unreachable
        /// The broker accepts no messages for now.
        case blocked
        /// The broker is incompatible.
        case incompatible
        /// Reading or writing failed.
        case inputOutput
        /// An internal error.
        case fault

        /// The HTTP status of a response that reports such a problem.
        package var httpStatus: Int {
            switch self {
            case .usage: 400
            case .notFound: 404
            case .conflict, .cancelled, .interrupted: 409
            case .badData, .noInput: 422
            case .configuration, .inputOutput, .fault: 500
            case .incompatible: 502
            case .unreachable, .blocked: 503
            case .timedOut: 504
            }
        }
    }

    /// A next step.
    package enum Remedy: Sendable, Hashable {
        /// What to do about a batch.
        case batches(Advice)
        /// Check the user, the password and the virtual host in the broker's URL.
        case checkCredentials
        /// Check the host, the CA file and the dates in the broker's URL and certificate.
        case checkCertificate
        /// Find out which broker is used, and why.
        case examineBroker
        /// Try again later, when the broker's alarm is over.
        case tryLater
    }

    /// The kind.
    package var kind: Kind
    /// What failed, on what, and why; it may have several lines.
    package var message: String
    /// What to do next, or nil if there is nothing to add.
    package var advice: Remedy?

    /// Creates a problem.
    package init(_ kind: Kind, _ message: String, advice: Remedy? = nil) {
        self.kind = kind
        self.message = message
        self.advice = advice
    }

    /// Classifies any error; an unknown one is a fault.
    package init(of error: any Error) {
        switch error {
        case let error as Problem: self = error
        case let error as BrokerError: self.init(broker: error)
        case let error as SheafError:
            self.init(Self.kind(of: error), error.message, advice: error.advice.map(Remedy.batches))
        case let error as RequestQueueError: self.init(Self.kind(of: error), error.message)
        case let error as SourceError: self.init(Self.kind(of: error), error.message)
        case let error as SettingsError: self.init(.configuration, error.description)
        case let error as FlowConfigurationProblem: self.init(.configuration, error.description)
        case let error as ParameterError: self.init(.usage, error.description)
        case let error as Errno: self.init(.inputOutput, error.description)
        case is CancellationError: self.init(.fault, "the work was cancelled")
        default: self.init(.fault, String(describing: error))
        }
    }

    private init(broker error: BrokerError) {
        switch error.code {
        case .accessRefused: self.init(.unreachable, error.message, advice: .checkCredentials)
        case .untrusted: self.init(.unreachable, error.message, advice: .checkCertificate)
        case .unreachable, .connectionLost, .timedOut: self.init(.unreachable, error.message, advice: .examineBroker)
        case .blocked, .refused: self.init(.blocked, error.message, advice: .tryLater)
        case .notFound, .queueGone: self.init(.notFound, error.message)
        case .tooLarge: self.init(.badData, error.message)
        case .storage: self.init(.inputOutput, error.message)
        case .mismatch, .protocolViolation: self.init(.incompatible, error.message)
        default: self.init(.fault, error.message)
        }
    }

    private static func kind(of error: SheafError) -> Kind {
        switch error.code {
        case .notFound: .notFound
        case .alreadyExists, .alreadyFinished, .notNow: .conflict
        case .cancelled: .cancelled
        case .timedOut: .timedOut
        case .invalid: .usage
        case .interrupted: .interrupted
        default: .fault
        }
    }

    private static func kind(of error: RequestQueueError) -> Kind {
        switch error.code {
        case .full: .blocked
        case .invalid: .badData
        case .busy: .conflict
        case .unreachable, .refused: .unreachable
        }
    }

    private static func kind(of error: SourceError) -> Kind {
        switch error.code {
        case .empty, .nothingLeft, .invalidHeader, .changed: .badData
        case .unknownFormat, .invalidConfiguration: .usage
        case .temporaryStorage: .inputOutput
        default: .noInput
        }
    }
}
