"""What the logger keeps on its own disk: two SQLite files, one thread that writes them, and one module per kind of data.

    store        the thread, group commit, the lock on data_dir        database, migrate   opening, checking, migrating
    records      sealed statistics                                     samples, linklog    5 s samples; last packets (samples.db)
    outbox       deliveries and packets until the platform answers     settings            what a platform set
    journal      who changed what, chained                             connection, evidence  official connection time

Every function of these modules takes the connection first and is one transaction: `await store.do(records.seal, …)`.
"""
