// The types of SheafCore in the signatures of a broker, so that `import SheafBroker` is all that its author needs.
@_exported public import struct SheafCore.Message
@_exported public import struct SheafCore.Timestamp
