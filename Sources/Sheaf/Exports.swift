// `import Sheaf` is all that a program needs: it re-exports what is public in the targets below. The rest of SheafBroker
// and `Message` are for programs that bring a broker of their own, which import SheafBroker, too.
@_exported public import SheafBatches
@_exported public import SheafDispatch
@_exported public import SheafFlows
@_exported public import SheafSources
@_exported public import SheafWorker
@_exported public import protocol SheafBroker.Broker
@_exported public import struct SheafBroker.BrokerError
@_exported public import struct SheafBroker.BrokerProvider
@_exported public import struct SheafBroker.BrokerReference
@_exported public import struct SheafBroker.BrokerRegistry
@_exported public import struct SheafCore.AttemptError
@_exported public import struct SheafCore.BatchCounts
@_exported public import struct SheafCore.BatchInfo
@_exported public import struct SheafCore.BatchOptions
@_exported public import enum SheafCore.BatchStatus
@_exported public import struct SheafCore.BatchSummary
@_exported public import enum SheafCore.Deduplication
@_exported public import enum SheafCore.ErrorPolicy
@_exported public import struct SheafCore.FlowRateLimit
@_exported public import struct SheafCore.IndexRanges
@_exported public import enum SheafCore.JSON
@_exported public import struct SheafCore.JSONError
@_exported public import enum SheafCore.JSONValue
@_exported public import struct SheafCore.Name
@_exported public import struct SheafCore.Outcome
@_exported public import struct SheafCore.Pilot
@_exported public import struct SheafCore.Question
@_exported public import struct SheafCore.QuestionID
@_exported public import struct SheafCore.RateLimit
@_exported public import enum SheafCore.RateLimitKey
@_exported public import struct SheafCore.RateLimitWait
@_exported public import struct SheafCore.Record
@_exported public import struct SheafCore.Timestamp
@_exported public import struct SheafCore.TraceContext
@_exported public import struct SheafCore.Usage
