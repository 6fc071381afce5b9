"""Where does incoming mail come from, and what is to be done with it?"""
