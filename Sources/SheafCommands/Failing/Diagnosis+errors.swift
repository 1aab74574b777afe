import Sheaf
import SheafBroker
import SheafCore
import SheafFlows
import SheafSettings
import SheafSources
import SystemPackage

extension Diagnosis {
    /// Tells what any error means for the person at the terminal; the one place where errors become exit codes.
    init(of error: any Error) {
        switch error {
        case let error as Diagnosis: self = error
        case let error as Interruption: self = .silent(error.status)
        case let error as BrokerError: self.init(broker: error)
        case let error as SheafError: self.init(sheaf: error)
        case let error as SourceError: self.init(source: error)
        case let error as SettingsError: self.init(.configuration, error.description)
        case let error as FlowConfigurationProblem: self.init(.configuration, error.description)
        case let error as ParameterError: self.init(.usage, error.description)
        case let error as WriteError: self.init(.inputOutput, error.description)
        case let error as Errno: self.init(.inputOutput, error.description)
        case is CancellationError: self.init(.fault, "the work was cancelled")
        default: self.init(.fault, String(describing: error))
        }
    }

    private init(broker error: BrokerError) {
        switch error.code {
        case .accessRefused:
            self.init(
                .unreachable,
                error.message,
                advice: "check the user, the password and the virtual host in the broker's URL (--broker, SHEAF_BROKER)"
            )
        case .untrusted:
            self.init(
                .unreachable,
                error.message,
                advice: "check the host, the cacertfile and the dates in the broker's URL and certificate (docs/tls.md)"
            )
        case .unreachable, .connectionLost, .timedOut:
            self.init(.unreachable, error.message, advice: "'sheaf doctor' shows which broker is used and why")
        case .blocked, .refused:
            self.init(.blocked, error.message, advice: "try again later; 'sheaf doctor' shows the broker's limits")
        case .notFound, .queueGone: self.init(.notFound, error.message)
        case .tooLarge: self.init(.badData, error.message)
        case .storage: self.init(.inputOutput, error.message)
        case .mismatch, .protocolViolation: self.init(.unavailable, error.message)
        default: self.init(.fault, error.message)
        }
    }

    private init(sheaf error: SheafError) {
        switch error.code {
        case .notFound: self.init(.notFound, error.message)
        case .alreadyExists, .alreadyFinished, .notNow: self.init(.conflict, error.message)
        case .cancelled: self.init(.cancelled, error.message)
        case .timedOut: self.init(.timedOut, error.message)
        case .invalid: self.init(.badData, error.message)
        case .interrupted: self.init(.unsuccessful, error.message)
        default: self.init(.fault, error.message)
        }
    }

    private init(source error: SourceError) {
        switch error.code {
        case .empty, .nothingLeft, .invalidHeader, .changed: self.init(.badData, error.message)
        case .unknownFormat, .invalidConfiguration: self.init(.usage, error.message)
        case .temporaryStorage: self.init(.inputOutput, error.message)
        default: self.init(.noInput, error.message)
        }
    }
}
