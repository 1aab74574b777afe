import SheafCore

/// Why an attempt failed, and whether another may succeed.
public struct FlowError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The kind, short and with dashes, such as `exit-code`.
    public var type: String
    /// What happened, for people.
    public var message: String
    /// Whether the task may be retried, if the flow's definition does not decide it.
    public var isRetryable: Bool
    /// The exit code, if a program failed with one.
    public var exitCode: Int?
    /// Whether a request was certainly not sent, because there was no connection.
    package var isUnsent = false

    /// Makes an error.
    public init(type: String, message: String, isRetryable: Bool = false, exitCode: Int? = nil) {
        self.type = type
        self.message = message
        self.isRetryable = isRetryable
        self.exitCode = exitCode
    }

    /// The kind and the message.
    public var description: String { "\(type): \(message)" }
}

/// The types of Sheaf's own errors that other code compares with.
extension FlowError {
    /// The type of an attempt that was ended by a cancel, or because the worker leaves.
    public static let cancelledType = "cancelled"
    /// The type of an attempt that took longer than its time-out.
    public static let timeoutType = "timeout"
    /// The type of parameters that a task cannot be run with.
    public static let parametersType = "parameters"
    /// The type of a task whose flow ended without a result for it.
    public static let noResultType = "no-result"
    /// The type of a record that could not be read; the same as in outcomes.
    public static let invalidRecordType = Outcome.Failure.invalidRecord
    /// The type of a task whose workers died again and again; the same as in outcomes.
    public static let workerLostType = Outcome.Failure.workerLost

    /// The type of a template that a task does not fit into.
    package static let templateType = "template"
    /// The type of an output with more bytes than the flow allows.
    static let outputTooLargeType = "output-too-large"
    /// The type of an output that is neither JSON nor UTF-8.
    static let outputNotTextType = "output-not-text"
    /// The type of an output that should have been JSON.
    static let outputNotJSONType = "output-not-json"
    /// The type of a program or folder that does not exist.
    static let notFoundType = "not-found"
    /// The type of a program that could not be started.
    static let spawnType = "spawn"
    /// The type of a connection that failed.
    static let connectionType = "connection"
    /// The type of credentials that are missing or invalid.
    static let credentialsType = "credentials"
    /// The type of a call to an address of this machine or of a private network.
    package static let privateAddressType = "private-address"
    /// The type of redirects that are too many, or that lead to no URL.
    static let redirectsType = "redirects"

    /// The longest description of a foreign error that is kept, in bytes.
    private static let maximumDescription = 4 << 10

    /// Makes an error from any other.
    init(wrapping error: any Error) {
        let description = String(describing: error)
        let isLong = description.utf8.count > Self.maximumDescription
        self.init(
            type: String(describing: Swift.type(of: error)),
            message: isLong ? "\(description.prefix(Self.maximumDescription))…" : description
        )
    }
}

/// Reports that the service a flow calls asks for a pause; thrown by a flow instead of a ``FlowError``.
///
/// The call does not count as an attempt. All tasks that share the flow's rate limit wait.
public struct FlowThrottle: Error, Sendable, Equatable {
    /// How long the service asks to wait; nil if it gave no time.
    public var delay: Duration?
    /// What the service answered, for people.
    public var message: String
    /// Whether only the tasks of the call wait, and not all that share the flow's rate limit.
    package var isOwn = false
    /// Whether it lasts until people have done something, such as correcting a key.
    package var needsPeople = false

    /// Makes a throttle.
    public init(delay: Duration? = nil, message: String) {
        self.delay = delay
        self.message = message
    }
}

/// Why a flow cannot be defined as it is written, or what is doubtful about its definition.
package struct FlowConfigurationProblem: Error, Sendable, Equatable, CustomStringConvertible {
    /// The option that a problem is about: the flow's `exec`, one of its arguments, or another key.
    package enum Place: Sendable, Equatable {
        /// The list of arguments as a whole.
        case arguments
        /// One argument, counted from 0, which is the program.
        case argument(Int)
        /// A variable of `environment`.
        case environment(String)
        /// Another option of the flow, by its path of keys.
        case key(String)
    }

    /// The option that the problem is about.
    package var place: Place
    /// What is wrong, for people.
    package var message: String

    /// Makes a problem.
    package init(_ place: Place, _ message: String) {
        self.place = place
        self.message = message
    }

    /// The place as a key path with the message.
    package var description: String {
        switch place {
        case .arguments: "exec: \(message)"
        case .argument(let position): "exec[\(position)]: \(message)"
        case .environment(let name): "environment.\(name): \(message)"
        case .key(let key): "\(key): \(message)"
        }
    }
}
